"""What a run says of itself: its log, its history, charts and the page of all of it."""

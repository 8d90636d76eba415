"""What the codec's scripts are made of: student, crops, teacher, loss and run."""

"""Many pictures and videos: which files, where their results go, and what paints them."""

from lgt.batch.run import Result, stylize_files
from lgt.batch.sources import PhotoFile, Work, find_left_out, find_photos, is_pattern, plan_works
from lgt.batch.videos import stylize_video

__all__ = [
    "PhotoFile",
    "Result",
    "Work",
    "find_left_out",
    "find_photos",
    "is_pattern",
    "plan_works",
    "stylize_files",
    "stylize_video",
]

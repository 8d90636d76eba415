"""Many pictures: which files, where their results go, and an iterator that paints them."""

from lgt.batch.run import Result, stylize_files
from lgt.batch.sources import PhotoFile, Work, find_photos, is_pattern, plan_works

__all__ = [
    "PhotoFile",
    "Result",
    "Work",
    "find_photos",
    "is_pattern",
    "plan_works",
    "stylize_files",
]

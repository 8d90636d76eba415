"""Many pictures and videos: which files, where their results go, and what paints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lgt.batch.sources import PhotoFile, Work, find_left_out, find_photos, is_pattern, plan_works

if TYPE_CHECKING:
    from lgt.batch.photos import Result, stylize_files
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


def __getattr__(name: str) -> object:
    """Import what needs PyTorch on first use."""
    if name in __all__:
        from lgt.batch import photos, videos

        return getattr(videos if name == "stylize_video" else photos, name)
    raise AttributeError(f"module 'lgt.batch' has no attribute {name!r}")

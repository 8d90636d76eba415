"""Videos and GIFs: frames in, painted frames out, steady in time.

`transfer_video` is all that most need. PyAV is imported when a video is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lgt.image.moving import VIDEO_SUFFIXES, is_video_job

if TYPE_CHECKING:
    from lgt.video.painting import VideoProgress, VideoResult
    from lgt.video.transfer import transfer_video

__all__ = ["VIDEO_SUFFIXES", "VideoProgress", "VideoResult", "is_video_job", "transfer_video"]


def __getattr__(name: str) -> object:
    """Import what needs more than the folder's names on first use."""
    if name == "transfer_video":
        from lgt.video.transfer import transfer_video

        return transfer_video
    if name in __all__:
        from lgt.video import painting

        return getattr(painting, name)
    raise AttributeError(f"module 'lgt.video' has no attribute {name!r}")

"""A video among many files: painted, or skipped, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from lgt.batch.photos import Result, is_outdated, reason_of
from lgt.batch.sources import PhotoFile
from lgt.errors import LGTError
from lgt.paint.painter import Painter
from lgt.paint.provenance import read_provenance
from lgt.paint.recipe import Recipe
from lgt.video import VideoProgress
from lgt.video.recipe import VideoOptions, paint_video, video_provenance, video_record


def stylize_video(
    painter: Painter,
    video: PhotoFile,
    output: Path,
    label: str,
    recipe: Recipe,
    *,
    options: VideoOptions | None = None,
    overwrite: bool = False,
    has_metadata: bool = True,
    progress: Callable[[VideoProgress], None] | None = None,
) -> Result:
    """Paint a recipe of a video; what can not be painted gives a result with a problem.

    Stopped by an exception such as Ctrl-C, the same call goes on where it was.

    Args:
        painter: Model and codec.
        video: From `find_photos`.
        output: See `lgt.video.transfer_video`.
        label: Of the recipe.
        recipe: How to paint.
        options: Those of videos.
        overwrite: Also paint what is there: a file not older than the video whose provenance is
            what it would be now.
        has_metadata: Write provenance; files without it are never skipped.
        progress: Is told how far it is after each batch of frames.
    """
    options = options or VideoOptions()
    state = partial(Result, video, output, label)
    try:
        is_anew = overwrite or not has_metadata
        if not is_anew and _is_present(painter, recipe, options, video.path, output):
            return state(is_skipped=True)
        done = paint_video(
            painter,
            recipe,
            video.path,
            output,
            options=options,
            has_metadata=has_metadata,
            progress=progress,
        )
    except Exception as error:  # One bad file, of whatever kind, must not end the run.
        return state(problem=reason_of(error, video.path))
    return state(size=done.size, seconds=done.took, video=done)


def _is_present(
    painter: Painter, recipe: Recipe, options: VideoOptions, source: Path, output: Path
) -> bool:
    """Tell whether a video needs no painting."""
    with suppress(LGTError, OSError):
        if is_outdated(output, source):
            return False
        made = read_provenance(output)
        if made is None or made.video is None:
            return False
        return made.is_same_work(video_provenance(painter, recipe, options, video_record(source)))
    return False

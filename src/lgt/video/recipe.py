"""Videos by the recipes of pictures, and what their files say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lgt.errors import InputError
from lgt.paint.painter import Painter, stretched
from lgt.paint.picture import Picture
from lgt.paint.provenance import FileRecord, Provenance, VideoRecord, file_sha256
from lgt.paint.recipe import Recipe
from lgt.video.paint import Layer
from lgt.video.painting import SMOOTH, VideoProgress, VideoResult, paint_clip
from lgt.video.read import open_clip


@dataclass(frozen=True)
class VideoOptions:
    """What decides a video besides what decides a picture; see `transfer_video`."""

    smooth: float = SMOOTH
    crf: int | None = None


def video_record(path: Path) -> FileRecord:
    """Return what provenance keeps of a video.

    Raises:
        InputError: It can not be read.
    """
    try:
        return FileRecord(name=path.name, sha256=file_sha256(path))
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror})") from error


def video_provenance(
    painter: Painter, recipe: Recipe, options: VideoOptions, source: FileRecord
) -> Provenance:
    """Return what a video's file says of how it was made."""
    return painter.provenance(recipe, source, video=VideoRecord(**asdict(options)))


def paint_video(
    painter: Painter,
    recipe: Recipe,
    source: Path,
    output: Path,
    *,
    options: VideoOptions | None = None,
    has_metadata: bool = True,
    progress: Callable[[VideoProgress], None] | None = None,
) -> VideoResult:
    """Paint a video by a recipe; masks are stretched to its frames and stay where they are.

    Args:
        painter: Model and codec.
        recipe: How to paint.
        source: Any video that FFmpeg reads, or a GIF.
        output: See `lgt.video.transfer_video`.
        options: Those of videos.
        has_metadata: Write provenance, as the comment of the file.
        progress: See `lgt.video.transfer_video`.

    Raises:
        InputError: See `lgt.video.transfer_video`.
    """
    options = options or VideoOptions()
    recipe = painter.named(recipe)
    size = open_clip(source).size
    mask, detail_mask = recipe.mask, recipe.detail_mask
    metadata = None
    if has_metadata:
        made = video_provenance(painter, recipe, options, video_record(source))
        metadata = {"comment": made.to_json()}

    def layer(style: Mapping[str, float], area: Picture | None = None) -> Layer:
        transport = replace(painter.transport(recipe, style), is_noise_shared=True)
        return Layer(transport, stretched(area, size, recipe))

    return paint_clip(
        painter.engine,
        [
            *([] if recipe.style is None else [layer(recipe.style)]),
            *(layer(style, area) for area, style in recipe.regions),
        ],
        recipe.controls,
        source,
        output,
        mask=stretched(mask, size, recipe, invert=recipe.invert_mask),
        detail_mask=stretched(detail_mask, size, recipe),
        metadata=metadata,
        progress=progress,
        **asdict(options),
    )

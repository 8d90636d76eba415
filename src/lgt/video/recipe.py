"""Videos by the recipes of pictures, and what their files say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.errors import InputError
from lgt.image import soft_mask
from lgt.paint.picture import Picture
from lgt.paint.provenance import FileRecord, Provenance, VideoRecord, file_sha256
from lgt.paint.recipe import Painter, Recipe
from lgt.video.read import open_clip
from lgt.video.run import SMOOTH, VideoProgress, VideoResult, transfer_video


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
        output: See `transfer_video`.
        options: Those of videos.
        has_metadata: Write provenance, as the comment of the file.
        progress: See `transfer_video`.

    Raises:
        InputError: See `transfer_video`.
    """
    options = options or VideoOptions()
    recipe = painter.named(recipe)
    size = open_clip(source).size

    def stretched(mask: Picture, *, invert: bool = False) -> Image.Image:
        return soft_mask(mask.image, size, invert=invert, feather=recipe.mask_feather)

    mask, detail_mask = recipe.mask, recipe.detail_mask
    controls: dict[str, Any] = asdict(recipe.controls)
    metadata = None
    if has_metadata:
        made = video_provenance(painter, recipe, options, video_record(source))
        metadata = {"comment": made.to_json()}
    return transfer_video(
        source,
        output,
        recipe.style,
        lgt=painter.lgt,
        codec=painter.codec,
        source_style=recipe.source_style,
        seed=recipe.seed,
        mask=None if mask is None else stretched(mask, invert=recipe.invert_mask),
        detail_mask=None if detail_mask is None else stretched(detail_mask),
        regions=[(stretched(area), style) for area, style in recipe.regions],
        metadata=metadata,
        progress=progress,
        **asdict(options),
        **controls,
    )

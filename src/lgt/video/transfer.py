"""`transfer_video`: a video painted by a loaded model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.codec import LatentCodec
from lgt.errors import InputError
from lgt.model.styles import Style
from lgt.paint.controls import Controls
from lgt.paint.engine import Transport
from lgt.paint.torch_engine import TorchEngine
from lgt.paint.transfer import LGTInference
from lgt.video.paint import Layer
from lgt.video.painting import SMOOTH, VideoProgress, VideoResult, check_files, paint_clip


def transfer_video(
    source: Path | str,
    output: Path | str,
    style: Style | None,
    *,
    lgt: LGTInference | None = None,
    codec: LatentCodec | None = None,
    source_style: int | str | None = None,
    num_steps: int | None = None,
    seed: int | None = 0,
    smooth: float = SMOOTH,
    crf: int | None = None,
    mask: Image.Image | None = None,
    detail_mask: Image.Image | None = None,
    regions: Sequence[tuple[Image.Image, Style]] = (),
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[VideoProgress], None] | None = None,
    **controls: Any,
) -> VideoResult:
    """Paint a video or a picture of several frames; times, size, sound and loops are kept.

    Finished parts are kept in `OUTPUT.lgt-part`; the same call goes on from there after it was
    stopped or killed, and gives the same frames. The folder goes when the output is complete.

    Args:
        source: Any video that FFmpeg reads, an animated GIF, WebP, PNG or AVIF, or a TIFF of
            several pages.
        output: `.mp4`, `.m4v`, `.mov`, `.mkv` (H.264), `.webm` (VP9), `.gif`, `.webp` or `.apng`;
            also `.png` for a PNG; `.tif` for a TIFF, whose pages are painted without `smooth`.
            Sides that H.264 can not hold, odd ones, are made even by repeating the edge.
        style: Style to give: name, id, or a mapping from styles to weights; None: the source, for
            `regions` to lie on.
        lgt: The model; None: the one inside the package.
        codec: Of `lgt.load_codec`; None: the model's own.
        source_style: Style that the video has, if known.
        num_steps: Solver steps; None: the model's.
        seed: Of the noise, which is the same for each frame; None draws anew for each frame.
        smooth: Share of the last frame that is kept where the source holds still, 0 (off) to 0.99.
        crf: Quality of the encoder, smaller is better; None: 18 for H.264 and 30 for VP9.
        mask: White is painted, black stays the source; stretched to the frames.
        detail_mask: Where `detail` applies.
        regions: Masks and their styles, lowest first, above `style`.
        metadata: Tags of the file, such as `comment`, the only one of a GIF.
        progress: Is told how far it is after each batch; what it raises stops the work.
        controls: Fields of `lgt.paint.controls.Controls`, such as `strength` or `max_side`.

    Raises:
        InputError: The source can not be read or the output not written, there is no such style, or
            a value is out of range.
    """
    check_files(Path(source), Path(output), smooth, crf)
    model = lgt or LGTInference()
    settings = _settings(controls)

    def layer(style: Style, area: Image.Image | None = None) -> Layer:
        transport = Transport(
            style=model.style_weights(style),
            sampler=model.sampler.changed(num_steps=num_steps),
            source=None if source_style is None else model.style_id(source_style),
            seed=seed,
            repulsion=settings.repulsion,
            is_noise_shared=seed is not None,
        )
        return Layer(transport, area)

    return paint_clip(
        TorchEngine(model, codec or model.load_codec()),
        [*([] if style is None else [layer(style)]), *(layer(s, area) for area, s in regions)],
        settings,
        Path(source),
        Path(output),
        smooth=smooth,
        crf=crf,
        mask=mask,
        detail_mask=detail_mask,
        metadata=metadata,
        progress=progress,
    )


def _settings(controls: Mapping[str, Any]) -> Controls:
    try:
        return Controls(**controls)
    except TypeError:
        unknown = sorted(set(controls) - set(asdict(Controls())))
        raise InputError(
            f"unknown control {', '.join(unknown)}; there are {', '.join(asdict(Controls()))}"
        ) from None

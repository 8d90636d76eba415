"""Codec in 8 bit integers, by post-training quantisation of NNCF.

The network keeps its precision, which costs little time and gains 2 dB. So does the decoder's last
layer, which makes pixels of features whose parts cancel: in integers the mean difference from full
precision is 0.17, without it 0.01.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgt.errors import InputError, LGTWarning
from lgt.extras import missing
from lgt.runtime.graph import LAST

SOURCE = Path(__file__).resolve().parent.parent / "assets" / "model" / "source.jpg"
"""The photo inside the package that calibration starts from."""

SIDE = 256
"""Side of the calibration pictures, in pixels."""

MAX_DIFFERENCE = 0.04
"""Mean difference from full precision, of pixels in [0, 1], above which int8 is refused."""


def calibration_pictures() -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yield pictures `[1, 3, H, W]` in [0, 1] that reach what activations a photo causes.

    Two parts of one photo: turned, with channels exchanged, inverted, darker, brighter, in full
    contrast.
    """
    photo = Image.open(SOURCE).convert("RGB")
    corner = (photo.width - SIDE, photo.height - SIDE, photo.width, photo.height)
    first = np.asarray(photo.crop((0, 0, SIDE, SIDE)), np.float32) / 255
    second = np.asarray(photo.crop(corner), np.float32) / 255
    for pixels in (
        first,
        second,
        first[:, ::-1, [2, 0, 1]],
        first[::-1, :, [1, 2, 0]],
        1 - second,
        second**2,
        np.sqrt(first[:, :, [0, 2, 1]]),
        np.round(first),
    ):
        yield np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def quantized(core: Any, graph: bytes) -> Any:
    """Return the OpenVINO model of a transfer with its codec in int8.

    Args:
        core: `openvino.Core`.
        graph: ONNX model of :func:`lgt.runtime.graph.transfer_graph`.

    Raises:
        InputError: NNCF is missing, or the result is too far from that of full precision.
    """
    try:
        with _quiet():
            import nncf
    except ImportError as error:
        raise InputError(f"--precision int8: {missing('nncf')}") from error
    warnings.warn(
        "int8: the codec for this style is turned to integers now; that takes about a minute, once",
        LGTWarning,
        stacklevel=2,
    )
    model = core.read_model(graph, b"")
    numbers = {"strength": np.array(1, np.float32), "residual": np.array(0.5, np.float32)}
    given = {key.any_name for key in model.inputs}
    items = [
        {"image": image, **{k: v for k, v in numbers.items() if k in given}}
        for image in calibration_pictures()
    ]
    plain = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = [np.array(plain(item)[0]) for item in items]
    del plain
    with _quiet():
        result = nncf.quantize(
            model,
            nncf.Dataset(items),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(items),
            ignored_scope=nncf.IgnoredScope(patterns=["network[.].*", f"{LAST}[.].*"]),
        )
    compiled = core.compile_model(result, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pairs = zip(items, expected, strict=True)
    far = float(np.mean([np.abs(compiled(item)[0] - wanted).mean() for item, wanted in pairs]))
    if not far <= MAX_DIFFERENCE:
        raise InputError(
            f"--precision int8: this model's pictures would differ by {far:.2g} in the mean (at "
            f"most {MAX_DIFFERENCE}); use bf16 or fp32"
        )
    return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's notes and progress bars from the terminal."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)

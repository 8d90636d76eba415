"""Numerical agreement of an exported graph with torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from lgt.errors import InputError
from lgt.extras import missing

TOLERANCE = 2e-3
"""Largest difference of a pixel in [0, 1]: half of a step of 8 bits."""

SIZES = ((64, 64), (104, 72), (8, 168))
"""Heights and widths in pixels; the network pads all but the first."""


def agreement(graph: bytes, model: str, style: str) -> dict[str, float]:
    """Return the largest difference of an ONNX graph from torch for each size, on made pictures.

    Args:
        graph: From :meth:`lgt.runtime.Runtime.graph`.
        model: File of the model.
        style: Its style.

    Raises:
        InputError: A difference exceeds `TOLERANCE`, or torch or onnxruntime is missing.
    """
    try:
        import onnxruntime
        import torch

        from lgt.codec import decode_latent, encode_image
        from lgt.image.color import luma
        from lgt.paint.transfer import LGTInference
    except ImportError as error:
        what = missing(error.name or "") or f"{error.name} is not installed: pip install lgt"
        raise InputError(f"the check can not run: {what}; or give --no-check") from error
    lgt = LGTInference(model, "cpu")
    codec = lgt.load_codec()
    session: Any = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: dict[str, float] = {}
    rng = np.random.default_rng(0)
    strength, detail = 0.7, 0.5
    weight = 1 - strength * (1 - detail)
    for height, width in SIZES:
        coarse = rng.random((1, 3, height // 8, width // 8), np.float32)
        image = coarse.repeat(8, 2).repeat(8, 3)
        image = np.clip(image + 0.05 * rng.standard_normal(image.shape), 0, 1).astype(np.float32)
        numbers = {"strength": np.float32(strength), "residual": np.float32(weight)}
        got = session.run(None, {"image": image, **{k: np.array(v) for k, v in numbers.items()}})[0]
        photo = torch.from_numpy(image)
        x_src = encode_image(codec, photo)
        x_1 = lgt.transfer_style(x_src, None, style, seed=0)
        painted = decode_latent(codec, x_src + strength * (x_1 - x_src))
        lost = photo - decode_latent(codec, x_src)
        color = 1 - strength
        expected = painted + color * lost + (weight - color) * luma(lost)
        difference = float(np.abs(got - expected.clamp(0, 1).numpy()).max())
        if not difference <= TOLERANCE:
            raise InputError(
                f"the exported graph differs from torch by {difference:.2g} at {height} x {width} "
                f"(tolerance {TOLERANCE}); nothing was written"
            )
        found[f"{height} x {width}"] = difference
    return found

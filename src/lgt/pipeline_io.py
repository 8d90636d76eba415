"""Pictures as a pipeline takes and returns them: PIL, tensors, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from lgt.errors import InputError
from lgt.image import to_image, to_tensor


def pictures(image: Any) -> list[Image.Image]:
    """Return the pictures of any accepted input."""
    if isinstance(image, Image.Image):
        return [image]
    if isinstance(image, np.ndarray):
        array = np.asarray(image, dtype=np.float32)
        if array.ndim not in (3, 4) or array.shape[-1] != 3:
            raise InputError(f"an array must be [H, W, 3] or [B, H, W, 3] (got {array.shape})")
        image = torch.from_numpy(array).movedim(-1, -3)
    if isinstance(image, Tensor):
        if image.ndim not in (3, 4) or image.shape[-3] != 3:
            raise InputError(
                f"a tensor must be [3, H, W] or [B, 3, H, W] (got {list(image.shape)})"
            )
        batch = image[None] if image.ndim == 3 else image
        if not batch.is_floating_point():
            raise InputError(f"image has dtype {image.dtype}; give floats in [0, 1]: image / 255")
        if len(batch) and not (float(batch.min()) >= -0.01 and float(batch.max()) <= 1.01):
            low, high = float(batch.min()), float(batch.max())
            raise InputError(f"image values must lie in [0, 1] (got {low:.3g} to {high:.3g})")
        found = [to_image(item) for item in batch]
    elif isinstance(image, (list, tuple)):
        found = [picture for item in image for picture in pictures(item)]
    else:
        raise InputError(f"image must be a PIL picture, tensor, array or list (got {type(image)})")
    if not found:
        raise InputError("image: there is no picture in it")
    return found


def for_each(value: Any, count: int, what: str) -> list[Any]:
    """Return one value for each picture."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{len(value)} {what} for {count} pictures; give one or {count}")
    return list(value)


def seed_of(generator: Generator | None) -> int | None:
    """Draw the seed of one picture from a generator, which moves on."""
    if generator is None:
        return None
    device = generator.device
    return int(torch.randint(2**31, (1,), generator=generator, device=device))


def as_output(painted: list[Image.Image], kind: str) -> Any:
    """Return painted pictures as PIL pictures (`pil`), a tensor (`pt`) or an array (`np`)."""
    if kind == "pil":
        return painted
    sizes = {picture.size for picture in painted}
    if len(sizes) > 1:
        raise InputError(f"output_type={kind} needs pictures of one size (got {sorted(sizes)})")
    batch = torch.cat([to_tensor(picture) for picture in painted])
    return batch if kind == "pt" else batch.permute(0, 2, 3, 1).contiguous().numpy()

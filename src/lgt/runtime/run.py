"""Runtime: pictures in, pictures out, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open

from lgt import __version__
from lgt.errors import CheckpointError, InputError
from lgt.files import weights_fingerprint
from lgt.image import limit_side, to_rgb
from lgt.image.tiling import Area, areas_of, inside, slices
from lgt.runtime.engines import Run, choose_backend, choose_precision, start

MAX_PIXELS = 2**21
"""Most pixels of a picture in one piece: activations need about 1.2 kB each."""

TILE, HALO = 80, 20
"""Side of a tile in latents, without what it sees around itself: more than the codec does."""

_ASSETS = Path(__file__).resolve().parent.parent / "assets"
_CODEC = _ASSETS / "codec" / "diffusion_pytorch_model.safetensors"
_MAX_GRAPHS = 6
Array = np.ndarray[Any, np.dtype[np.float32]]
Inputs = dict[str, Array]


class Runtime:
    """A released model on OpenVINO or ONNX Runtime; a style's first transfer compiles.

    Args:
        model: A `.safetensors` file of `lgt pack`, or `embedded`.
        backend: `auto`, `openvino` or `onnx`.
        precision: `fp32`; `bf16` (OpenVINO, on processors that have it); `int8` (OpenVINO, the
            codec in integers, made with NNCF); `auto`, the faster one of the first two.
        threads: Threads to compute on; None leaves it to the backend.

    Raises:
        InputError: An argument is not usable.
        CheckpointError: The model is not one that these graphs express.
    """

    def __init__(
        self,
        model: str | Path = "embedded",
        backend: str = "auto",
        *,
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.path = _ASSETS / "model" / "model.safetensors" if model == "embedded" else Path(model)
        self.name = "embedded" if model == "embedded" else self.path.name
        names, metadata = _header(self.path)
        try:
            self.config: dict[str, Any] = json.loads(metadata["lgt"])["config"]
            self.style_names = tuple(self.config["data"]["style_subdirs"])
            self.detail = float(self.config["inference"].get("detail", 0.0))
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.path}: not a file of `lgt pack` ({error}); backends other than torch read "
                "those only"
            ) from error
        check_expressible(self.path, self.config, names)
        self.backend = choose_backend(backend)
        self.precision = choose_precision(self.backend, precision)
        self.threads = threads
        self._runs: dict[str, Run] = {}

    def style_id(self, style: str | int) -> int:
        """Return the id of a style given by name or id.

        Raises:
            InputError: There is no such style.
        """
        if style in self.style_names:
            return self.style_names.index(str(style))
        if str(style).isdecimal() and int(style) < len(self.style_names):
            return int(style)
        raise InputError(
            f"unknown style '{style}' (styles: {', '.join(self.style_names)}); blends and added "
            "styles need --backend torch"
        )

    @property
    def painted_styles(self) -> tuple[str, ...]:
        """Names of the styles worth giving: all but `photo` and those that sources were of."""
        plain = {"photo", *self.config["data"].get("source_subdirs", ())}
        return tuple(n for n in self.style_names if n not in plain) or self.style_names

    def stylize(
        self,
        image: Image.Image,
        style: str | int,
        *,
        strength: float = 1.0,
        detail: float | None = None,
        max_side: int | None = None,
    ) -> Image.Image:
        """Give a picture a style; the result has its size and its alpha.

        Args:
            image: Any picture.
            style: Name or id.
            strength: 0 is the photo, 1 the painting.
            detail: Share, 0 to 1, of the photo's detail that the codec loses to be given back;
                None: what the model's configuration says.
            max_side: Shrink the picture to this longest side first, in pixels.

        Raises:
            InputError: There is no such style, or a value is out of range.
        """
        detail = self.detail if detail is None else detail
        for name, value in (("strength", strength), ("detail", detail)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be 0 to 1 (got {value})")
        if max_side is not None and max_side < 1:
            raise InputError(f"max_side must be at least 1 pixel (got {max_side})")
        picture = limit_side(to_rgb(image, keep_alpha=True), max_side)
        self.check_size(picture.size)
        row = self.style_id(style)
        if strength == 0:
            return picture
        flat = to_rgb(picture)
        pixels = np.asarray(flat, np.float32) / 255
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
        weight = 1 - strength * (1 - detail)
        inputs: Inputs = {
            "image": np.ascontiguousarray(padded.transpose(2, 0, 1)[None]),
            "strength": np.array(strength, np.float32),
        }
        if weight > 0:
            inputs["residual"] = np.array(weight, np.float32)
        paint = self._in_tiles if width * height > MAX_PIXELS else self._whole
        result = paint(row, inputs)[0, :, :height, :width].transpose(1, 2, 0)
        painted = _to_image(result) if picture.mode == "RGB" else _with_alpha(result, picture)
        painted.info = dict(picture.info)  # The resolution.
        return painted

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse a size, width and height in pixels, that would need tiles in integers.

        Raises:
            InputError: Says the limit.
        """
        if self.precision == "int8" and size[0] * size[1] > MAX_PIXELS:
            raise InputError(
                f"{size[0]} x {size[1]} pixels: int8 takes at most {MAX_PIXELS} (it does not cut "
                "pictures into tiles); use --precision bf16 or fp32, or --max_side 1448"
            )

    def graph(self, style: str | int, *, has_residual: bool = True) -> bytes:
        """Return the ONNX model of a style; see :func:`lgt.runtime.graph.transfer_graph`."""
        from lgt.runtime.graph import transfer_graph

        network, codec = _weights(self.path), _weights(_CODEC)
        return transfer_graph(network, codec, self.style_id(style), has_residual=has_residual)

    @cached_property
    def fingerprints(self) -> tuple[str, str]:
        """16 hex digits of the SHA-256 of the model's and of the codec's weights."""
        model, codec = (weights_fingerprint(_tensors(p)) for p in (self.path, _CODEC))
        return model, codec

    @cached_property
    def _identity(self) -> list[str]:
        """All that decides the graphs but the style."""
        here = Path(__file__)
        code = (
            here.with_name("graph.py"),
            here.with_name("int8.py"),
            _ASSETS.with_name("kernels.py"),
        )
        files = (self.path, _CODEC, *code)
        return [__version__, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)]

    def _whole(self, style: int, inputs: Inputs) -> Array:
        has_residual = "residual" in inputs
        run = self._run(
            f"{style} {has_residual}", lambda: self.graph(style, has_residual=has_residual)
        )
        result: Array = run(inputs)
        return result

    def _in_tiles(self, style: int, inputs: Inputs) -> Array:
        """Encode and decode tile by tile, and move the latents of the whole picture at once.

        Tiles see as much around themselves as the codec does, and the network's statistics are
        those of the whole: nothing changes but rounding.
        """
        from lgt.runtime import graph

        has_residual = "residual" in inputs
        encode = self._run("encoder", lambda: graph.encoder_graph(_weights(_CODEC)))
        move = self._run(
            f"network {style}", lambda: graph.network_graph(_weights(self.path), style)
        )
        decode = self._run(
            f"decoder {has_residual}",
            lambda: graph.decoder_graph(_weights(_CODEC), has_residual=has_residual),
        )
        image, numbers = inputs["image"], {k: v for k, v in inputs.items() if k != "image"}
        height, width = (side // 8 for side in image.shape[-2:])
        latent = np.empty((1, 4, height, width), np.float32)
        for own, seen in areas_of(height, width, TILE, HALO):
            part = encode({"image": _cut(image, seen, 8)})
            latent[(..., *slices(own))] = part[(..., *slices(inside(own, seen)))]
        moved = move({"latent": latent, "strength": inputs["strength"]})
        result = np.empty(image.shape, np.float32)
        for own, seen in areas_of(height, width, TILE, HALO):
            given = {"moved": _cut(moved, seen)}
            if has_residual:
                given |= {"latent": _cut(latent, seen), "image": _cut(image, seen, 8), **numbers}
            part = decode(given)
            result[(..., *slices(own, 8))] = part[(..., *slices(inside(own, seen), 8))]
        return result

    def _run(self, name: str, graph: Callable[[], bytes]) -> Run:
        if name not in self._runs:
            while len(self._runs) >= _MAX_GRAPHS:
                self._runs.pop(next(iter(self._runs)))
            self._runs[name] = start(
                self.backend, self.precision, self.threads, [*self._identity, name], graph
            )
        return self._runs[name]


def check_expressible(path: Path, config: dict[str, Any], names: list[str]) -> None:
    """Refuse a model that the graphs do not express.

    Args:
        path: Its file.
        config: Its configuration.
        names: Names of its weights.

    Raises:
        CheckpointError: Says all that stands in the way.
    """
    model, sampler, training = config["model"], config["inference"], config["training"]
    wrong = {
        "condition_on_source": model["condition_on_source"],
        "style_kernel_size other than 3": model["style_kernel_size"] != 3,
        "style_injection adagn": not any("hypernetwork" in name for name in names),
        "num_steps other than 1": sampler["num_steps"] != 1,
        "guidance (use_cfg)": sampler["use_cfg"],
        "noise (temperature_lambda)": sampler["temperature_lambda"],
        "a start_time other than 0": sampler.get("start_time", 0.0),
        "training.start other than source": training["start"] != "source",
        "training.solver other than euler": training["solver"] != "euler",
        "a codec other than embedded": config["data"]["codec"] != "embedded",
    }
    found = [text for text, is_wrong in wrong.items() if is_wrong]
    if found:
        raise CheckpointError(f"{path}: only --backend torch can do {', '.join(found)}")


def _cut(values: Array, area: Area, factor: int = 1) -> Array:
    return np.ascontiguousarray(values[(..., *slices(area, factor))])


def _to_image(pixels: Array) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _with_alpha(result: Array, picture: Image.Image) -> Image.Image:
    """Take white paper off again: the colours C with `C a + 1 - a = result`, and the alpha a."""
    rgba = np.asarray(picture, np.float32) / 255
    alpha = rgba[..., 3:]
    painted = np.rint(np.clip(result, 0, 1) * 255) / 255
    colors = (painted - 1 + alpha) / np.maximum(alpha, 1 / 255)
    image = _to_image(np.where(alpha > 0, colors, rgba[..., :3]))
    image.putalpha(picture.getchannel("A"))
    return image


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file (working directory: {Path.cwd()})")
    try:
        with safe_open(path, framework="numpy") as file:
            return list(file.keys()), dict(file.metadata() or {})
    except Exception as error:  # the reader raises many kinds on damaged data
        raise CheckpointError(
            f"{path}: not a readable .safetensors file ({error}); backends other than torch read "
            "files of `lgt pack`"
        ) from error


def _weights(path: Path) -> dict[str, Array]:
    return dict(_tensors(path))


def _tensors(path: Path) -> Iterator[tuple[str, Array]]:
    """Yield names and float32 values, in the order of the names."""
    try:
        with safe_open(path, framework="numpy") as file:
            for name in sorted(file.keys()):
                yield name, file.get_tensor(name).astype(np.float32)
    except Exception as error:
        raise CheckpointError(f"{path}: not a readable .safetensors file ({error})") from error

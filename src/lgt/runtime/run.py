"""Runtime: pictures in, pictures out, without torch."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open

from lgt.errors import CheckpointError, InputError

BACKENDS = ("auto", "openvino", "onnx")
PRECISIONS = ("fp32", "bf16")
_ASSETS = Path(__file__).resolve().parent.parent / "assets"
_MODULES = {"openvino": "openvino", "onnx": "onnxruntime"}
_MAX_GRAPHS = 4


def choose_backend(backend: str) -> str:
    """Return the backend to use: the named one, or OpenVINO, or ONNX Runtime.

    Raises:
        InputError: The name is not known, or its package is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)} (got '{backend}')")
    wanted = list(_MODULES) if backend == "auto" else [backend]
    for name in wanted:
        if importlib.util.find_spec(_MODULES[name]) and importlib.util.find_spec("onnx"):
            return name
    packages = " or ".join(_MODULES[name] for name in wanted)
    raise InputError(f"backend {backend}: needs the packages onnx and {packages}; install them")


class Runtime:
    """A released model on OpenVINO or ONNX Runtime; the first transfer at a size compiles.

    Args:
        model: A `.safetensors` file of `lgt pack`, or `embedded`.
        backend: `auto`, `openvino` or `onnx`.
        precision: `fp32`, or `bf16` (OpenVINO, on processors that have it).
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
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        self.backend = choose_backend(backend)
        if precision not in PRECISIONS:
            raise InputError(f"precision must be fp32 or bf16 (got '{precision}')")
        if precision == "bf16" and self.backend == "onnx":
            raise InputError("backend onnx computes in fp32; for bf16 use --backend openvino")
        self.precision, self.threads = precision, threads
        path = _ASSETS / "model" / "model.safetensors" if model == "embedded" else Path(model)
        self._network, metadata = _read(path)
        try:
            document = json.loads(metadata["lgt"])
            self.config: dict[str, Any] = document["config"]
            self.style_names = tuple(self.config["data"]["style_subdirs"])
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: not a file of `lgt pack` ({error})") from error
        self._check(path)
        self._codec, _ = _read(_ASSETS / "codec" / "diffusion_pytorch_model.safetensors")
        self._graphs: dict[tuple[int, tuple[int, int]], Callable[..., Any]] = {}

    def style_id(self, style: str | int) -> int:
        """Return the id of a style given by name or id."""
        if style in self.style_names:
            return self.style_names.index(str(style))
        if str(style).isdecimal() and int(style) < len(self.style_names):
            return int(style)
        raise InputError(f"unknown style '{style}' (styles: {', '.join(self.style_names)})")

    def stylize(self, image: Image.Image, style: str | int, strength: float = 1.0) -> Image.Image:
        """Give a picture a style; the result has its size.

        Args:
            image: Any picture.
            style: Name or id.
            strength: Share of the way to go; 0 only encodes and decodes.

        Raises:
            InputError: There is no such style, or `strength` is not in [0, 2].
        """
        if not 0 <= strength <= 2:
            raise InputError(f"strength must be 0 to 2 (got {strength})")
        pixels = np.asarray(image.convert("RGB"), np.float32) / 255
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
        x = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        run = self._graph(self.style_id(style), (x.shape[2], x.shape[3]))
        y = run(x, np.array(strength, np.float32))[0, :, :height, :width]
        return Image.fromarray(np.rint(y * 255).astype(np.uint8).transpose(1, 2, 0))

    def _graph(self, style: int, size: tuple[int, int]) -> Callable[..., Any]:
        key = (style, size)
        if key not in self._graphs:
            from lgt.runtime.graph import transfer_graph

            while len(self._graphs) >= _MAX_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            graph = transfer_graph(self._network, self._codec, style, size)
            start = _openvino if self.backend == "openvino" else _onnx
            self._graphs[key] = start(graph, self.precision, self.threads)
        return self._graphs[key]

    def _check(self, path: Path) -> None:
        model, sampler = self.config["model"], self.config["inference"]
        wrong = [
            text
            for text, bad in (
                ("condition_on_source", model["condition_on_source"]),
                ("style_kernel_size other than 3", model["style_kernel_size"] != 3),
                ("style_injection adagn", not any("hypernetwork" in k for k in self._network)),
                ("num_steps other than 1", sampler["num_steps"] != 1),
                ("guidance (use_cfg)", sampler["use_cfg"]),
                ("noise (temperature_lambda)", sampler["temperature_lambda"]),
                ("training.start other than source", self.config["training"]["start"] != "source"),
                ("training.solver other than euler", self.config["training"]["solver"] != "euler"),
                ("a codec other than embedded", self.config["data"]["codec"] != "embedded"),
            )
            if bad
        ]
        if wrong:
            raise CheckpointError(
                f"{path}: backend {self.backend} can not do {', '.join(wrong)}; use --backend torch"
            )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            weights = {k: file.get_tensor(k).astype(np.float32) for k in file.keys()}  # noqa: SIM118
            return weights, dict(file.metadata() or {})
    except Exception as error:  # the reader raises many kinds on damaged data
        raise CheckpointError(f"{path}: not a readable .safetensors file ({error})") from error


def _openvino(graph: bytes, precision: str, threads: int | None) -> Callable[..., Any]:
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(graph, b""), "CPU", options)
    return lambda x, strength: compiled([x, strength])[0]


def _onnx(graph: bytes, _precision: str, threads: int | None) -> Callable[..., Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda x, strength: session.run(None, {"image": x, "strength": strength})[0]

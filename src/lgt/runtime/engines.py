"""The engines that compute a graph: OpenVINO and ONNX Runtime."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lgt.errors import InputError
from lgt.extras import pip_install
from lgt.runtime.cache import cached, forget

Run = Callable[[dict[str, Any]], Any]
"""Maps arrays by input name to the picture."""

MOST_KEPT = 3 * 2**19
"""Values of a picture up to which a graph keeps the memory it worked in, for the next one; that of
larger ones is worth more to others than the few per cent of time that it takes to ask anew."""

BACKENDS = ("auto", "openvino", "onnx")
PRECISIONS = ("auto", "fp32", "bf16", "int8")
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}

GPU_SIGNS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "C:/Windows/System32/nvcuda.dll")
"""Files of drivers of graphics processors: looking at them is quicker than to load torch."""


def uses_gpu(device: str = "auto") -> bool:
    """Tell whether torch is installed and may have a GPU that it may take.

    Args:
        device: What `--device` says.
    """
    if device == "cpu" or not importlib.util.find_spec("torch"):
        return False
    return sys.platform == "darwin" or any(Path(sign).exists() for sign in GPU_SIGNS)


def default_backend(device: str = "auto") -> str:
    """Return `auto` without torch, or where OpenVINO is installed and no GPU is; else `torch`.

    Args:
        device: What `--device` says.
    """
    if not importlib.util.find_spec("torch"):
        return "auto"
    has_openvino = importlib.util.find_spec("openvino") and importlib.util.find_spec("onnx")
    return "auto" if has_openvino and not uses_gpu(device) else "torch"


def choose_backend(backend: str) -> str:
    """Return the backend to use: the named one, or OpenVINO, or ONNX Runtime.

    Raises:
        InputError: The name is not known, or its package is not installed.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)} (got '{backend}')")
    wanted = list(PACKAGES) if backend == "auto" else [backend]
    for name in wanted:
        if importlib.util.find_spec(PACKAGES[name]) and importlib.util.find_spec("onnx"):
            return name
    what = pip_install("openvino") if backend == "openvino" else "pip install lgt"
    raise InputError(f"backend {backend} needs a package that is not here: {what}")


def choose_precision(backend: str, precision: str) -> str:
    """Return `fp32`, `bf16` or `int8`; `auto` is bf16 on OpenVINO where the processor has it.

    Raises:
        InputError: The name is not known, or the backend does not compute in it.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)} (got '{precision}')")
    if backend == "onnx":
        if precision in ("bf16", "int8"):
            what = pip_install("int8" if precision == "int8" else "openvino")
            raise InputError(f"backend onnx computes in fp32; for {precision} use openvino: {what}")
        return "fp32"
    if precision == "auto":
        return "bf16" if _has_bf16(openvino_core()) else "fp32"
    return precision


@cache
def openvino_core() -> Any:
    """Return the process's one OpenVINO core.

    It is never given up: its processor plugin lends the loading thread a stack for signals and
    frees it with itself, perhaps from another thread; the next Ctrl-C would then end in a crash.
    """
    import openvino

    return openvino.Core()


def _has_bf16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def start(
    backend: str,
    precision: str,
    threads: int | None,
    parts: list[str],
    graph: Callable[[], bytes],
) -> Run:
    """Return a function that computes a graph.

    Args:
        backend: `openvino` or `onnx`.
        precision: `fp32`, `bf16`, or `int8`: the codec in integers, the rest in bf16 where the
            processor has it.
        threads: None leaves it to the backend.
        parts: All that decides the graph.
        graph: Makes it, as ONNX.
    """
    if backend == "onnx":
        return _onnx(threads, parts, graph)
    return _openvino(precision, threads, parts, graph)


def _openvino(
    precision: str, threads: int | None, parts: list[str], graph: Callable[[], bytes]
) -> Run:
    import openvino

    core = openvino_core()
    is_reduced = precision == "bf16" or (precision == "int8" and _has_bf16(core))
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if is_reduced else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    processor = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
    parts = [*parts, openvino.__version__, processor, precision, str(threads)]
    made: list[Any] = []

    def compile_() -> bytes:
        if precision == "int8":
            from lgt.runtime.int8 import quantized

            model = quantized(core, graph())
        else:
            model = core.read_model(graph(), b"")
        made.append(core.compile_model(model, "CPU", options))
        exported = made[0].export_model()
        return bytes(exported.getvalue() if hasattr(exported, "getvalue") else exported)

    data, _ = cached(parts, compile_)
    if not made:
        try:
            made.append(core.import_model(data, "CPU", options))
        except RuntimeError:  # Written by a build that this one does not read.
            forget(parts)
            compile_()
    compiled = made[0]

    def run(inputs: dict[str, Any]) -> Any:
        result = compiled(inputs)[0]
        if max(result.size, *(value.size for value in inputs.values())) > MOST_KEPT:
            compiled.release_memory()
        return result

    return run


def _onnx(threads: int | None, parts: list[str], graph: Callable[[], bytes]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    data, _ = cached([*parts, "onnx"], graph)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    giving_back = onnxruntime.RunOptions()
    giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return lambda inputs: session.run(None, inputs, giving_back)[0]

"""Devices and number formats, named by strings."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from lgt.errors import AbsentDeviceError, InputError, LGTWarning

_DTYPES = {
    "fp32": torch.float32,
    "float32": torch.float32,
    "no": torch.float32,
    "bf16": torch.bfloat16,
    "bfloat16": torch.bfloat16,
}


LEAST_CAPABILITY = 8
"""Of an NVIDIA GPU that multiplies in bfloat16: Ampere's."""


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device; the host does not wait until it has arrived."""
    if device.type != "cuda" or x.device.type != "cpu":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def resolve_device(device: str | torch.device | None = "auto") -> torch.device:
    """Turn a name into a device that exists on this machine.

    Args:
        device: `cpu`, `cuda`, `cuda:N`, `mps`, or `auto` (also None): a GPU if there is one.

    Returns:
        The device.

    Raises:
        InputError: The name is not a device.
        AbsentDeviceError: There is none of that name on this machine.
    """
    name = "auto" if device is None else str(device)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise InputError(
            f"device: '{name}' is not a device; use auto, cpu, cuda, cuda:0 or mps"
        ) from None
    if wanted.type == "cpu":
        return wanted
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (wanted.index or 0) < count:
            return wanted
        seen = f"{count} CUDA device(s) found" if count else "no CUDA device found"
    elif wanted.type == "mps":
        if torch.backends.mps.is_available():
            return wanted
        seen = "no MPS device found"
    else:
        raise InputError(f"device: '{name}' is not supported; use auto, cpu, cuda, cuda:0 or mps")
    raise AbsentDeviceError(
        f"device: '{name}' was asked for, but {seen}; use auto, which takes a GPU where there is "
        "one, or cpu"
    )


def available_device(device: str | torch.device | None = "auto") -> torch.device:
    """Return what :func:`resolve_device` does, or the CPU, with a warning, where that refuses.

    For scripts, which are written on one machine and run on another; commands refuse.

    Raises:
        InputError: The name is not a device.
    """
    try:
        return resolve_device(device)
    except AbsentDeviceError as error:
        warnings.warn(f"{error}; this runs on the CPU", LGTWarning, stacklevel=3)
        return torch.device("cpu")


def computes_in_bf16(device: str | torch.device | None = "auto") -> bool:
    """Tell whether a device computes in bfloat16; one that does not imitates it, many times slower.

    Args:
        device: As :func:`resolve_device` takes it.
    """
    kind = resolve_device(device).type
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if kind == "cpu":
        asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
        return asked is not None and bool(asked())
    return True


def usual_precision(device: str | torch.device | None = "auto") -> str:
    """Return what `--precision auto` is on torch: `bf16` where it saves time, else `fp32`.

    It needs instructions for it, which torch's own questions do not ask for: a processor or a GPU
    without them computes it by way of float32. MPS and AMD's GPUs are left in float32; nobody has
    looked.

    Args:
        device: As :func:`resolve_device` takes it.
    """
    found = resolve_device(device)
    if found.type == "cpu":
        has = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        is_quick = any(getattr(torch.cpu, name, bool)() for name in has)
    elif found.type == "cuda" and torch.version.hip is None:
        is_quick = torch.cuda.get_device_properties(found).major >= LEAST_CAPABILITY
    else:
        is_quick = False
    return "bf16" if is_quick and computes_in_bf16(found) else "fp32"


def works_in_bf16(mixed_precision: str, device: str | torch.device | None = "auto") -> bool:
    """Tell whether `training.mixed_precision` means bfloat16 on a device; else it is float32."""
    return mixed_precision == "bf16" and computes_in_bf16(device)


def resolve_dtype(precision: str | torch.dtype) -> torch.dtype:
    """Turn a precision name into a floating-point format.

    Args:
        precision: `fp32` (also `float32`, `no`) or `bf16` (also `bfloat16`).

    Raises:
        InputError: Any other format; float16 overflows in common image codecs.
    """
    if isinstance(precision, torch.dtype):
        if precision in _DTYPES.values():
            return precision
        precision = str(precision).removeprefix("torch.")
    try:
        return _DTYPES[precision.lower()]
    except KeyError:
        raise InputError(f"precision: '{precision}' is not supported; use fp32 or bf16") from None

"""What is installed, what would be used, and whether it works."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from lgt.errors import LGTError
from lgt.extras import EXTRAS, pip_install
from lgt.processor import processor_name, usable_cores

Status = Literal["ok", "note", "broken"]

NEEDED = (
    "json5",
    "numpy",
    "onnx",
    "onnxruntime",
    "pillow",
    "platformdirs",
    "pydantic",
    "rich",
    "safetensors",
    "tifffile",
    "typer",
)
"""What `pip install lgt` brings."""

WITHOUT_TORCH = (
    "not installed: `lgt transfer`, `inspect`, `serve`, `styles` and `export --no-check` work "
    "without it; training, the Python API and other codecs need it"
)

CODEC_ID = "stabilityai/sd-vae-ft-mse"
SIDE = 64
"""Side of the picture of the self-check, in pixels."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    status: Status
    text: str
    advice: str = ""


def examine(model: str = "embedded", device: str = "auto") -> list[Finding]:
    """Look at the installation; nothing is fetched or written, and nothing raises.

    Args:
        model: Model of the self-check.
        device: Device of the self-check; without torch it is the CPU.
    """
    if not has_torch():
        return _run(
            [
                ("packages", _packages),
                ("extras", _extras),
                ("threads", _threads),
                ("memory", _memory),
                ("backend", _backend),
                ("model", lambda: _model_without_torch(model)),
                ("styles", _styles),
            ]
        )
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("packages", _packages),
        ("extras", _extras),
        ("device", lambda: _device(device)),
        ("threads", _threads),
        ("memory", _memory),
        ("bf16", lambda: _bf16(device)),
        ("backend", lambda: _backend(device)),
        ("codec", _codec),
        ("model", lambda: _model(model, device)),
        ("refining", _refining),
        ("hub cache", _hub_cache),
        ("styles", _styles),
    ]
    return _run(checks)


def has_torch() -> bool:
    """Tell whether torch is installed."""
    return importlib.util.find_spec("torch") is not None


def _run(checks: list[tuple[str, Callable[[], list[Finding]]]]) -> list[Finding]:
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except Exception as error:  # The report is for broken installations too.
            text = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, "broken", text, _reinstall()))
    return findings


def as_values(findings: list[Finding]) -> dict[str, Any]:
    """Return the report as plain values; `ok` is False if something needed is broken."""
    return {"ok": is_healthy(findings), "findings": [asdict(finding) for finding in findings]}


def is_healthy(findings: list[Finding]) -> bool:
    """Tell whether nothing needed is broken."""
    return all(finding.status != "broken" for finding in findings)


def _reinstall() -> str:
    return f"{Path(sys.executable).name} -m pip install --force-reinstall --no-deps lgt"


def _packages() -> list[Finding]:
    from lgt import __version__

    where = Path(__file__).resolve().parent
    found = [
        Finding("lgt", "ok", f"{__version__} in {where}"),
        Finding("python", "ok", f"{platform.python_version()}, {platform.platform()}"),
        Finding("processor", "ok", processor_name()),
    ]
    for name in NEEDED:
        try:
            found.append(Finding(name, "ok", version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "broken", "not installed", f"pip install {name}"))
    if has_torch():
        return [*found, Finding("torch", "ok", _version("torch"))]
    return [*found, Finding("torch", "note", WITHOUT_TORCH, pip_install("torch"))]


def _extras() -> list[Finding]:
    found = []
    for extra, part in EXTRAS.items():
        if lacking := part.missing():
            text = f"not installed ({', '.join(lacking)} missing); it gives {part.gives}"
            found.append(Finding(f"extra {extra}", "note", text, pip_install(extra)))
        else:
            found.append(Finding(f"extra {extra}", "ok", f"installed: {part.gives}"))
    return found


def _device(device: str) -> list[Finding]:
    import torch

    from lgt.device import resolve_device

    try:
        chosen = resolve_device(device)
    except LGTError as error:
        return [Finding("device", "broken", str(error), "use --device auto")]
    if chosen.type == "cuda":
        return [Finding("device", "ok", f"{chosen}: {torch.cuda.get_device_name(chosen)}")]
    if chosen.type == "mps":
        return [Finding("device", "ok", "mps: Apple GPU")]
    if device == "cpu":
        return [Finding("device", "ok", "cpu, as asked for")]
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        why = "this PyTorch is built without CUDA"
        advice = "for a GPU, install PyTorch with CUDA (https://pytorch.org/get-started/locally/)"
    else:
        why, advice = "PyTorch sees no GPU", "check the driver with nvidia-smi, if there is a GPU"
    return [Finding("device", "ok", f"cpu: {why}", advice)]


def _threads() -> list[Finding]:
    usable = usable_cores()
    if not has_torch():
        return [Finding("threads", "ok", f"{usable} usable cores")]
    import torch

    threads = torch.get_num_threads()
    text = f"{threads} of {usable} usable cores"
    if threads < usable:
        named = os.environ.get("OMP_NUM_THREADS")
        advice = "unset OMP_NUM_THREADS to use all" if named else "set OMP_NUM_THREADS for more"
        return [Finding("threads", "note", text, advice)]
    return [Finding("threads", "ok", text)]


def _memory() -> list[Finding]:
    total = available = 0.0
    place = Path("/proc/meminfo")
    if place.is_file():
        rows = dict(line.split(":", 1) for line in place.read_text().splitlines() if ":" in line)
        total = float(rows["MemTotal"].split()[0]) / 1e6
        available = float(rows.get("MemAvailable", rows["MemFree"]).split()[0]) / 1e6
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if not total:
        return [Finding("memory", "note", "not known on this system")]
    text = f"{available:.1f} GB free of {total:.1f} GB"
    if available < 1.5:
        advice = "close other programs, or paint with --max_side 1024"
        return [Finding("memory", "note", text, advice)]
    return [Finding("memory", "ok", text)]


def _bf16(device: str = "auto") -> list[Finding]:
    found = _device_or_cpu(device)
    if _precision_of_torch(device) == "bf16":
        text = f"{found} computes in bf16, which --precision auto takes on torch"
    else:
        text = f"{found}: --precision auto takes fp32 on torch"
    return [Finding("bf16", "ok", text)]


def _device_or_cpu(device: str) -> str:
    """Return the device that a name means; one that is refused is told of elsewhere."""
    from lgt.device import resolve_device

    try:
        return resolve_device(device).type
    except LGTError:
        return "cpu"


def _precision_of_torch(device: str) -> str:
    from lgt.device import usual_precision

    return usual_precision(_device_or_cpu(device))


def _backends() -> list[str]:
    """Return the backends beside torch that are installed, the one that `auto` takes first."""
    from lgt.runtime.engines import PACKAGES

    modules = {name: (module, "onnx") for name, module in PACKAGES.items()}
    return [name for name, parts in modules.items() if all(map(importlib.util.find_spec, parts))]


def _backend(device: str = "auto") -> list[Finding]:
    from lgt.runtime.engines import PACKAGES, choose_precision, default_backend

    found = _backends()
    if not found:
        status: Status = "note" if has_torch() else "broken"
        text = f"{'torch' if has_torch() else 'none'} only; onnxruntime is not here"
        return [Finding("backend", status, text, "pip install onnx onnxruntime")]
    names = [f"{name} {_version(PACKAGES[name])}".strip() for name in found]
    if has_torch():
        names.append(f"torch {_version('torch')}")
    if default_backend(device) == "auto":
        chosen = f"{found[0]} in {choose_precision(found[0], 'auto')}"
    else:
        chosen = f"torch in {_precision_of_torch(device)}"
    text = f"{', '.join(names)}; lgt transfer takes {chosen}"
    advice = "" if "openvino" in found else f"OpenVINO may be quicker: {pip_install('openvino')}"
    return [Finding("backend", "ok", text, advice)]


def _version(name: str) -> str:
    """Return a package's version, nothing where it is installed under another name."""
    with suppress(PackageNotFoundError):
        return version(name)
    return ""


def _model_without_torch(model: str) -> list[Finding]:
    from PIL import Image

    from lgt.runtime import Runtime
    from lgt.runtime.cache import nothing_kept

    try:
        lgt = Runtime(model)
        image = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
        began = time.perf_counter()
        with nothing_kept():
            result = lgt.stylize(image, lgt.painted_styles[0])
    except LGTError as error:
        advice = _reinstall() if model == "embedded" else "name another --model"
        return [Finding("model", "broken", str(error), advice)]
    return [_painted(model, result.size, time.perf_counter() - began, lgt.style_names)]


def _painted(model: str, size: tuple[int, int], spent: float, names: tuple[str, ...]) -> Finding:
    if size != (SIDE, SIDE):
        return Finding("model", "broken", f"painted {size}", _reinstall())
    text = f"{model}: {SIDE} px painted in {spent:.2f} s; styles {', '.join(names)}"
    return Finding("model", "ok", text)


def _codec() -> list[Finding]:
    import torch

    from lgt.codec import decode_latent, encode_image, load_codec

    codec = load_codec("embedded")
    with torch.no_grad():
        pixels = _test_pixels()
        began = time.perf_counter()
        back = decode_latent(codec, encode_image(codec, pixels))
    error = float((back - pixels).abs().mean())
    spent = time.perf_counter() - began
    text = f"embedded ({codec.spec.name}): {SIDE} px there and back in {spent:.2f} s"
    if error > 0.15:
        text += f", but the picture is not the same (mean error {error:.2f})"
        return [Finding("codec", "broken", text, _reinstall())]
    return [Finding("codec", "ok", f"{text}, mean error {error:.3f}")]


def _model(model: str, device: str) -> list[Finding]:
    from lgt.device import resolve_device
    from lgt.image import to_image
    from lgt.paint.transfer import LGTInference

    try:
        resolve_device(device)
    except LGTError as error:
        return [Finding("model", "note", f"not tried: {error}")]
    try:
        lgt = LGTInference(model, device)
        codec = lgt.load_codec()
        began = time.perf_counter()
        result = lgt.stylize(to_image(_test_pixels()), lgt.painted_styles[0], codec=codec, seed=0)
    except LGTError as error:
        advice = _reinstall() if model == "embedded" else "name another --model"
        return [Finding("model", "broken", str(error), advice)]
    return [_painted(model, result.size, time.perf_counter() - began, lgt.style_names)]


def _refining() -> list[Finding]:
    from lgt.nn.learned_step import load_learned_step

    try:
        step = load_learned_step()
    except LGTError as error:
        return [Finding("refining", "broken", str(error), _reinstall())]
    text = f"{step.num_strides} learned steps are whole; --refine needs the extra train besides"
    return [Finding("refining", "ok", text)]


def _test_pixels() -> Any:
    import torch

    ramp = torch.linspace(0, 1, SIDE)
    return torch.stack(
        [ramp.expand(SIDE, SIDE), ramp[:, None].expand(SIDE, SIDE), ramp.flip(0).expand(SIDE, SIDE)]
    )[None].contiguous()


def _hub_cache() -> list[Finding]:
    from huggingface_hub import try_to_load_from_cache

    names = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
    found = [try_to_load_from_cache(CODEC_ID, name) for name in names]
    paths = [path for path in found if isinstance(path, str)]
    if paths:
        return [Finding("hub cache", "ok", f"{CODEC_ID} is here: --codec {CODEC_ID} works offline")]
    return [
        Finding(
            "hub cache",
            "note",
            f"{CODEC_ID} is not here; the embedded codec serves without it",
            f"for finer detail, use --codec {CODEC_ID} once while connected (about 335 MB)",
        )
    ]


def _styles() -> list[Finding]:
    from lgt.model.style_file import styles_folder

    folder = styles_folder("x").parent
    count = len(list(folder.glob("*/[!.]*.safetensors"))) if folder.is_dir() else 0
    return [Finding("styles", "ok", f"{count} added style(s) in {folder}")]

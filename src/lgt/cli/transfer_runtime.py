"""`lgt transfer --backend openvino|onnx|auto`: transfer without torch."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lgt.cli.transfer_job import Job, check_folder, is_moving, line_of, report
from lgt.cli.transfer_plan import ALL, note_guidance
from lgt.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from PIL import Image

    from lgt.paint.provenance import FileRecord, Provenance
    from lgt.runtime import Runtime

CHOICES = ("torch", "auto", "openvino", "onnx")


def run_without_torch(job: Job, backend: str | None, precision: str) -> bool:
    """Do a job on OpenVINO or ONNX Runtime; return whether it was done.

    Args:
        job: What was asked for.
        backend: One of `CHOICES`; None: the default. With `auto`, what needs torch is left to it
            where it is installed, with a note on standard error if it was asked for.
        precision: `auto`, `fp32`, `bf16` or `int8`.

    Raises:
        InputError: The job needs torch, or a value is wrong.
    """
    from lgt.runtime.engines import default_backend, uses_gpu

    is_named, device = backend is not None, str(job.sampler.get("device"))
    backend = backend or default_backend(device)
    if backend not in CHOICES:
        raise InputError(f"--backend must be one of {', '.join(CHOICES)} (got '{backend}')")
    if precision == "int8" and backend in ("torch", "onnx"):
        raise InputError(f"--precision int8 needs --backend openvino (got '{backend}')")
    if backend == "auto" and precision != "int8" and uses_gpu(device):
        backend = "torch"
        typer.echo("backend: torch (there is a GPU; --device cpu leaves it alone)", err=True)
    if backend == "torch":
        return False
    falls_back = backend == "auto" and importlib.util.find_spec("torch") is not None
    try:
        lgt, image = _prepare(job, backend, precision)
    except ImportError as error:
        if not falls_back:
            raise InputError(f"backend {backend}: can not be loaded ({error})") from error
        typer.echo(f"backend: torch ({error})", err=True)
        return False
    except (InputError, CheckpointError) as error:
        if not falls_back or precision == "int8":
            raise
        if is_named:
            typer.echo(f"backend: torch ({error})", err=True)
        return False
    note_guidance(job.sampler, is_guided=False)
    _paint(job, lgt, image)
    return True


def needs_torch(job: Job) -> list[str]:
    """Return what of a job only torch does."""
    sampler, controls = job.sampler, job.controls
    first = job.inputs[0]
    is_pattern = any(sign in str(first) for sign in "*?[") and not first.exists()
    is_several = len(job.inputs) > 1 or first.is_dir() or is_pattern
    given = {
        "several files": is_several,
        "videos": not is_several and is_moving(job),
        "standard input or output": "-" in (str(first), str(job.output_path)),
        "--source_style": job.source_style is not None,
        "--num_steps": sampler.get("num_steps") not in (None, 1),
        "--temperature_lambda": sampler.get("temperature_lambda"),
        "--cfg_scale": sampler.get("cfg_scale") is not None,
        "--device": sampler.get("device") not in ("auto", "cpu"),
        "--codec": job.codec not in (None, "embedded"),
        "--set": job.set_,
        "--blend": job.blend is not None,
        "--mask": job.mask is not None,
        "--detail_mask": job.detail_mask is not None,
        "--region": job.regions,
        "--preserve_color": controls.get("preserve_color"),
        "--style_scale": controls.get("style_scale", 1.0) != 1,
        "--repulsion": controls.get("repulsion"),
        "--tile": controls.get("tile") is not None,
        "--variants": job.variants != 1,
        "--interpolate": job.interpolate,
        "--smooth": job.smooth is not None,
        "--crf": job.crf is not None,
    }
    return [name for name, is_given in given.items() if is_given]


def _prepare(job: Job, backend: str, precision: str) -> tuple[Runtime, Image.Image]:
    """Check all that can be wrong before work starts."""
    from lgt.image import check_size, image_format, limited_size, open_image
    from lgt.runtime import Runtime

    if names := needs_torch(job):
        raise InputError(f"--backend {backend} does not take {', '.join(names)}: that needs torch")
    lgt = Runtime(job.model, backend, precision=precision)
    for style in _styles(job, lgt):
        lgt.style_id(style)
    if job.is_list:
        check_folder(job.output_path)
    elif not job.output_path.is_dir():
        image_format(job.output_path)
    max_side = job.controls.get("max_side")
    image = open_image(job.inputs[0], max_side=max_side, keep_alpha=True)
    size = limited_size(image.size, max_side)
    lgt.check_size(size)
    path = job.result_path(job.inputs[0].stem, "")
    check_size(image_format(path), size, path)
    return lgt, image


def _styles(job: Job, lgt: Runtime) -> list[str]:
    if job.style == ALL:
        return list(lgt.painted_styles)
    return list(dict.fromkeys(word.strip() for word in str(job.style).split(",")))


def _paint(job: Job, lgt: Runtime, image: Image.Image) -> None:
    from lgt.image import limit_side, picture_sheet, read_exif, save_image
    from lgt.runtime.record import CONTROLS, file_record, provenance

    controls = {key: job.controls[key] for key in CONTROLS if key in job.controls}
    source = job.inputs[0]
    photo = file_record(source) if job.has_metadata else None
    exif = read_exif(source) if job.has_metadata else None

    def save(picture: Image.Image, path: Path, style: str | None, sheet: list[str]) -> None:
        text = None
        if photo is not None:
            made = provenance(lgt, photo, style, controls, seed=job.seed, sheet=tuple(sheet))
            text = made.to_json()
        save_image(picture, path, text=text, exif=exif)

    results, labels = [], []
    for style in _styles(job, lgt):
        name = lgt.style_names[lgt.style_id(style)]
        path = job.result_path(source.stem, name)
        began = time.perf_counter()
        result = lgt.stylize(image, name, **controls)
        save(result, path, name, [])
        seconds = time.perf_counter() - began
        results.append(result)
        labels.append(name)
        report(
            job,
            line_of(source, path, name, result.size, seconds) | {"backend": lgt.backend},
            f"{path}: {result.width} x {result.height}, style {name}, {seconds:.2f} s, "
            f"{lgt.backend} {lgt.precision}",
        )
    if job.is_list:
        sheet = job.result_path(source.stem, "sheet")
        small = limit_side(image, job.controls.get("max_side"))
        labels = ["source", *labels]
        save(picture_sheet([small, *results], labels, columns=4), sheet, None, labels)
        values = {"input": str(source), "output": str(sheet), "sheet": labels}
        report(job, values, f"{sheet}: the source and {len(results)} styles")


def replay_without_torch(
    made: Provenance, image: Image.Image, photo: FileRecord, model: str, backend: str
) -> tuple[Image.Image, Provenance, list[str]]:
    """Paint a recorded picture again.

    Args:
        made: What its file says.
        image: The photo.
        photo: Its record.
        model: File of the model, or `embedded`.
        backend: `openvino` or `onnx`.

    Returns:
        The picture, its own record, and what is not as it was.
    """
    from lgt import __version__
    from lgt.runtime import Runtime
    from lgt.runtime.record import arguments, provenance

    style, controls, precision = arguments(made)
    lgt = Runtime(model, backend, precision=precision)
    picture = lgt.stylize(image, style, **controls)
    again = provenance(lgt, photo, style, controls, seed=made.seed)
    pairs = {
        "lgt": (made.lgt_version, __version__),
        "model": (made.model.sha256, again.model.sha256),
        "codec": (made.codec.fingerprint, again.codec.fingerprint),
        "device": (made.device, again.device),
    }
    changed = [f"{key} was {old}, is {new}" for key, (old, new) in pairs.items() if old != new]
    return picture, again, changed

"""Open a model on the engine that suits: the fastest that does what is asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lgt.errors import CheckpointError, InputError
from lgt.extras import torch_advice
from lgt.paint.sampler import Sampler
from lgt.runtime.engines import BACKENDS, default_backend, uses_gpu

if TYPE_CHECKING:
    from lgt.paint.engine import Engine

CHOICES = ("torch", *BACKENDS)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A model, and how it is to be used."""

    model: str = "embedded"
    backend: str | None = None
    """One of `CHOICES`; None: `auto` where OpenVINO is and no GPU, else `torch`. With `auto`, what
    needs torch is left to it where it is installed."""
    device: str = "auto"
    """Of torch; any but `auto` and `cpu` needs it."""
    precision: str = "auto"
    codec: str | None = None
    """Source of a codec; None: the model's. Any but the embedded one needs torch."""
    changes: tuple[str, ...] = ()
    """Configuration keys to change, `SECTION.KEY=VALUE`."""
    sampler: Mapping[str, float | bool | None] = field(default_factory=dict)
    """Arguments of :func:`lgt.paint.sampler.choose_sampler`."""
    refines: bool = False
    """Whether pictures are to be refined, which takes gradients, and so torch."""


def open_engine(wish: Wish, tell: Callable[[str], None] = lambda _: None) -> Engine:
    """Load a model and its codec.

    Args:
        wish: What is asked for.
        tell: Is told why torch does what another backend was asked for, and what has no effect.

    Raises:
        LGTError: It can not be loaded, or the backend does not do it.
    """
    is_named = wish.backend is not None
    backend = wish.backend or default_backend(wish.device)
    if backend not in CHOICES:
        raise InputError(f"--backend must be one of {', '.join(CHOICES)} (got '{backend}')")
    if wish.precision == "int8" and backend in ("torch", "onnx"):
        raise InputError(f"--precision int8 needs --backend openvino (got '{backend}')")
    if backend == "auto" and wish.precision != "int8" and uses_gpu(wish.device):
        backend = "torch"
        tell("backend: torch (there is a GPU; --device cpu leaves it alone)")
    if wish.refines and wish.precision == "int8":
        raise InputError("--refine needs gradients, which int8 has not; leave one of them out")
    if backend == "auto" and wish.refines:
        if not importlib.util.find_spec("torch"):
            raise InputError(f"refining needs gradients, which torch has{torch_advice()}")
        backend = "torch"
    if backend == "torch":
        return _on_torch(wish, tell)
    falls_back = backend == "auto" and importlib.util.find_spec("torch") is not None
    try:
        return _without_torch(wish, backend, tell)
    except ImportError as error:
        if not falls_back:
            raise InputError(f"backend {backend}: can not be loaded ({error})") from error
        reason = str(error)
    except (InputError, CheckpointError) as error:
        if not falls_back or wish.precision == "int8":
            raise
        reason = str(error)
    if is_named:
        tell(f"backend: torch ({reason})")
    return _on_torch(wish, tell)


def can_refine(engine: Engine) -> bool:
    """Tell whether paintings of an engine's model can be refined on this machine, by torch."""
    packages = ("torch", "efficientnet_lite_pytorch")
    return engine.keeps_works and all(importlib.util.find_spec(name) for name in packages)


def _on_torch(wish: Wish, tell: Callable[[str], None]) -> Engine:
    from lgt.device import available_device, usual_precision
    from lgt.paint.torch_engine import TorchEngine
    from lgt.paint.transfer import LGTInference

    device, precision = available_device(wish.device), wish.precision
    if precision == "auto":
        precision = usual_precision(device)
    sampler: dict[str, Any] = dict(wish.sampler)
    lgt = LGTInference(wish.model, device, precision=precision, changes=wish.changes, **sampler)
    _tell_idle(wish, Sampler.of(lgt.config), lgt.sampler, tell)
    return TorchEngine(lgt, lgt.load_codec(wish.codec))


def _without_torch(wish: Wish, backend: str, tell: Callable[[str], None]) -> Engine:
    wrong = {
        "--device": wish.device not in ("auto", "cpu"),
        "--codec": wish.codec not in (None, "embedded"),
    }
    if names := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise InputError(
            f"--backend {backend} does not take {', '.join(names)}: that needs --backend torch"
            f"{torch_advice()}"
        )
    from lgt.runtime.engine import Runtime

    lgt = Runtime(
        wish.model,
        backend,
        precision=wish.precision,
        changes=wish.changes,
        sampler=wish.sampler,
    )
    _tell_idle(wish, Sampler.of(lgt.config), lgt.sampler, tell)
    return lgt


def _tell_idle(wish: Wish, before: Sampler, after: Sampler, tell: Callable[[str], None]) -> None:
    """Say what of a wish changes nothing; what switches something off is not told."""
    if wish.sampler.get("use_cfg") is False and not before.is_guided:
        tell("note: --no_cfg changes nothing: this model paints without guidance")
    for name in sorted(after.idle_keys() & set(_inference_keys(wish.changes))):
        if (name, getattr(after, name)) in (("cfg_scale", 1), ("temperature_lambda", 0)):
            continue
        why = "this model paints without guidance"
        if not name.startswith("cfg_"):
            why = (
                f"no noise is added with num_steps {after.num_steps}, temperature_lambda "
                f"{after.temperature_lambda:g} and temperature_threshold "
                f"{after.temperature_threshold:g}"
            )
        tell(f"note: --set inference.{name} changes nothing: {why}")


def _inference_keys(changes: Sequence[str]) -> list[str]:
    parts = [word.partition("=")[0].strip().partition(".") for word in changes]
    return [key for section, _, key in parts if section == "inference"]

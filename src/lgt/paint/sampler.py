"""The sampler: how a path is integrated, as numbers, within what the model was trained to do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from lgt.errors import ConfigError, InputError, LGTWarning
from lgt.numbers import is_real, is_whole

if TYPE_CHECKING:
    from lgt.config import Config

MOST_STEPS = 1000
"""Where a search for enough steps ends, and the most that a file may ask for: pictures stop
changing long before, and each step takes as long as all of the shipped model's."""

TRAINING_KEYS = ("objective", "solver", "start")
"""Fields that are keys of `training`; all others are keys of `inference`."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """The keys of `inference` and `training` that decide a path; :mod:`lgt.config` describes them.

    Raises:
        ConfigError: A number is out of range.
    """

    num_steps: int
    temperature_lambda: float
    temperature_threshold: float
    use_cfg: bool
    cfg_scale: float
    cfg_decay: bool
    solver: str
    start: str
    objective: str
    start_time: float = 0.0  # Models of the first versions name neither this
    cfg_rescale: float = 0.0  # nor this.

    def __post_init__(self) -> None:
        bounds = {
            "num_steps": (1, "at least 1"),
            "temperature_lambda": (0, "at least 0"),
            "cfg_scale": (0, "at least 0"),
        }
        wrong = [
            f"  - inference.{name}: must be {rule} (got {getattr(self, name)!r})"
            for name, (low, rule) in bounds.items()
            if not (is_real(getattr(self, name)) and low <= getattr(self, name) < math.inf)
        ]
        if not wrong and not is_whole(self.num_steps):
            wrong = [f"  - inference.num_steps: must be a whole number (got {self.num_steps!r})"]
        if wrong:
            count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
            raise ConfigError("\n".join([f"sampler has {count}:", *wrong]))

    @classmethod
    def of(cls, config: Config | Mapping[str, Mapping[str, Any]]) -> Sampler:
        """Return the sampler that a configuration describes, checked or as plain values."""
        if isinstance(config, Mapping):
            given = {**config["training"], **config["inference"]}
        else:
            given = {**dict(config.training), **dict(config.inference)}
        return cls(**{name: given[name] for name in _names() if name in given})

    def changed(self, **wishes: float | bool | None) -> Sampler:
        """Return this sampler with some numbers changed; None changes nothing.

        A `cfg_scale` alone also switches guidance on.
        """
        given = {name: value for name, value in wishes.items() if value is not None}
        if "cfg_scale" in given:
            given.setdefault("use_cfg", True)
        return replace(self, **given) if given else self  # type: ignore[arg-type]

    @property
    def is_guided(self) -> bool:
        """Whether the unconditional velocity takes part."""
        return self.use_cfg and self.cfg_scale != 1

    @property
    def begins(self) -> str:
        """What the path starts from; the baseline's paths always start at the source."""
        return "source" if self.objective == "ot_cfm" else self.start

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result: noise at the start, or in a late step."""
        return bool(self.noisy_steps()) or self.begins != "source"

    def sigma(self, t: float) -> float:
        """Return the diffusion coefficient after a step from `t`; the baseline's is always 0."""
        is_late = self.objective != "ot_cfm" and t >= self.temperature_threshold
        return self.temperature_lambda if is_late else 0.0

    def noisy_steps(self, num_steps: int | None = None) -> int:
        """Count the solver steps after which noise is added: none follows the last one."""
        count = num_steps or self.num_steps
        return sum(self.sigma(i / count) > 0 for i in range(count - 1))

    def idle_keys(self) -> frozenset[str]:
        """Return the keys of `inference` that decide nothing here."""
        idle: set[str] = set()
        if not self.is_guided:
            idle |= {"cfg_scale", "cfg_decay", "cfg_rescale"}
        if not self.noisy_steps():
            idle |= {"temperature_lambda", "temperature_threshold"}
        return frozenset(idle)

    def noise_note(self) -> tuple[str, ...]:
        """Return why the temperature has no effect; nothing where it has one."""
        if self.noisy_steps():
            return ()
        wish = f"the noise (temperature_lambda {self.temperature_lambda:g}) has no effect"
        if self.objective == "ot_cfm":
            return (f"{wish}: the baseline's paths are deterministic (training.objective=ot_cfm)",)
        least = next((n for n in range(2, MOST_STEPS) if self.noisy_steps(n)), None)
        where = f"from t = {self.temperature_threshold:g} on, after every step but the last"
        advice = (
            "lower temperature_threshold" if least is None else f"give num_steps {least} or more"
        )
        return (f"{wish} with num_steps {self.num_steps}: it is added {where}; {advice}",)

    def differences(self, other: Sampler) -> dict[str, Any]:
        """Return what acts and is not as in another sampler, by the names of configuration keys."""
        idle = self.idle_keys()
        return {
            f"{'training' if name in TRAINING_KEYS else 'inference'}.{name}": getattr(self, name)
            for name in _names()
            if name not in idle and getattr(self, name) != getattr(other, name)
        }


@dataclass(frozen=True)
class Training:
    """What of its training decides how a model may be sampled."""

    has_null_style: bool
    """Whether labels were dropped, so that there is a velocity to guide away from."""
    is_blind: bool
    """Whether only the start state shows the network its photo."""

    @classmethod
    def of(cls, config: Config | Mapping[str, Mapping[str, Any]]) -> Training:
        """Return what a configuration, as of the training, says."""
        if isinstance(config, Mapping):
            training, sees = config["training"], config["model"]["condition_on_source"]
        else:
            training, sees = dict(config.training), config.model.condition_on_source
        is_blind = training["objective"] == "lgt" and not sees
        return cls(has_null_style=bool(training["label_drop_prob"]), is_blind=is_blind)


def choose_sampler(
    sampler: Sampler, training: Training, **wishes: float | bool | None
) -> tuple[Sampler, tuple[str, ...]]:
    """Return the sampler that is asked for, and a sentence for each wish that has no effect.

    Args:
        sampler: What to start from.
        training: What the model can do; guidance that it can not is left off.
        wishes: `num_steps`, `temperature_lambda`, `use_cfg`, `cfg_scale`; None keeps what is.

    Raises:
        ConfigError: A value is out of range.
    """
    sampler = sampler.changed(**wishes)
    notes: list[str] = []
    if sampler.is_guided and not training.has_null_style:
        notes.append(
            f"guidance (cfg_scale {sampler.cfg_scale:g}) is left off: this model was trained "
            "without label dropout (training.label_drop_prob=0), so it has no unconditional "
            "velocity to guide away from"
        )
        sampler = replace(sampler, use_cfg=False)
    if wishes.get("temperature_lambda"):
        notes += sampler.noise_note()
    if training.is_blind and sampler.start == "noised_source" and not sampler.start_time:
        notes.append(
            "the photo is never seen: inference.start_time=0 starts from pure noise, and this "
            "model looks at nothing else (model.condition_on_source=false), so every photo gives "
            "the same picture; give a start_time above 0, such as --set inference.start_time=0.5"
        )
    return sampler, tuple(notes)


def check_stored_steps(sampler: Sampler, source: str) -> None:
    """Refuse a model's own sampler that would take for ever.

    Raises:
        InputError: It has more than `MOST_STEPS` steps, and none were asked for.
    """
    if sampler.num_steps > MOST_STEPS:
        raise InputError(
            f"{source}: asks for {sampler.num_steps} solver steps by itself, and a file may ask "
            f"for at most {MOST_STEPS}; give --num_steps"
        )


def told_sampler(sampler: Sampler, training: Training, **wishes: float | bool | None) -> Sampler:
    """Return what :func:`choose_sampler` does; wishes without effect give an `LGTWarning` each."""
    chosen, notes = choose_sampler(sampler, training, **wishes)
    for note in notes:
        warnings.warn(note, LGTWarning, stacklevel=3)
    return chosen


def _names() -> Iterable[str]:
    return (field.name for field in fields(Sampler))

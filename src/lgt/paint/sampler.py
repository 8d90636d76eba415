"""The sampler that a model is used with: what was asked for, within what it was trained to do."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lgt.build import build_guidance, build_temperature
from lgt.config import Config, config_from_dict, config_to_dict

MOST_STEPS = 1000
"""Where a search for enough steps ends."""


@dataclass(frozen=True)
class Sampler:
    """A configuration whose `inference` section says what acts, and what could not be done."""

    config: Config
    notes: tuple[str, ...] = ()
    """One sentence for each wish that has no effect."""


def choose_sampler(
    config: Config,
    trained: Config,
    *,
    num_steps: int | None = None,
    temperature_lambda: float | None = None,
    use_cfg: bool | None = None,
    cfg_scale: float | None = None,
) -> Sampler:
    """Return the sampler that is asked for, without what the model can not do.

    Args:
        config: Configuration to start from.
        trained: The one that the model was trained with.
        num_steps: Solver steps.
        temperature_lambda: sigma of the late noise.
        use_cfg: Guidance; given a `cfg_scale` alone it is on.
        cfg_scale: Guidance scale.

    Arguments left at None keep what `config` says.

    Raises:
        ConfigError: A value is out of range.
    """
    if use_cfg is None and cfg_scale is not None:
        use_cfg = True
    config = _changed(
        config,
        num_steps=num_steps,
        temperature_lambda=temperature_lambda,
        use_cfg=use_cfg,
        cfg_scale=cfg_scale,
    )
    notes = []
    if build_guidance(config) is not None and not trained.training.label_drop_prob:
        scale = config.inference.cfg_scale
        config = _changed(config, use_cfg=False)
        notes.append(
            f"guidance (cfg_scale {scale:g}) is left off: this model was trained without label "
            "dropout (training.label_drop_prob=0), so it has no unconditional velocity to guide "
            "away from"
        )
    if temperature_lambda:
        notes += noise_note(config)
    if (
        config.is_blind
        and config.training.start == "noised_source"
        and not config.inference.start_time
    ):
        notes.append(
            "the photo is never seen: inference.start_time=0 starts from pure noise, and this "
            "model looks at nothing else (model.condition_on_source=false), so every photo gives "
            "the same picture; give a start_time above 0, such as --set inference.start_time=0.5"
        )
    return Sampler(config, tuple(notes))


def noise_note(config: Config) -> tuple[str, ...]:
    """Return why the temperature of a configuration has no effect; nothing where it has one."""
    if noisy_steps(config):
        return ()
    keys = config.inference
    wish = f"the noise (temperature_lambda {keys.temperature_lambda:g}) has no effect"
    if build_temperature(config) is None:
        return (f"{wish}: the baseline's paths are deterministic (training.objective=ot_cfm)",)
    least = next((n for n in range(2, MOST_STEPS) if noisy_steps(config, n)), None)
    where = f"from t = {keys.temperature_threshold:g} on, after every step but the last"
    advice = "lower temperature_threshold" if least is None else f"give num_steps {least} or more"
    return (f"{wish} with num_steps {keys.num_steps}: it is added {where}; {advice}",)


def noisy_steps(config: Config, num_steps: int | None = None) -> int:
    """Count the solver steps after which noise is added."""
    sigma, count = build_temperature(config), num_steps or config.inference.num_steps
    if sigma is None:
        return 0
    return int((sigma(torch.arange(count - 1) / count) > 0).sum())


def idle_keys(config: Config) -> frozenset[str]:
    """Return the keys of `inference` that decide nothing in this configuration."""
    idle: set[str] = set()
    if build_guidance(config) is None:
        idle |= {"cfg_scale", "cfg_decay"}
    if not noisy_steps(config):
        idle |= {"temperature_lambda", "temperature_threshold"}
    return frozenset(idle)


def _changed(config: Config, **changes: float | bool | None) -> Config:
    """Return the configuration with the given `inference` keys set, checked like all others."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        return config
    values = config_to_dict(config)
    values["inference"].update(given)
    return config_from_dict(values, "LGTInference")

"""Keys that are gone: refused where a user writes them, read where a model was stored with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import run_lgt, write_model

from lgt.config import Config, config_from_dict, config_to_dict, parse_config
from lgt.config.reference import all_keys, find_keys
from lgt.config.removed import REMOVED, refusal, translated
from lgt.errors import ConfigError, InputError
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint

ASSIGNED = dict.fromkeys(("texture_assignment", "palette_assignment", "feature_assignment"), True)
RANDOM = dict.fromkeys(ASSIGNED, False)
UNSEEN = {**RANDOM, "feature_assignment": True}
NO_NETWORK = {"perceptual_network": "none"}

CASES: dict[str, list[tuple[dict[str, Any], dict[str, Any] | None]]] = {
    "loss.w_anchor": [({"w_anchor": 0.0}, {}), ({"w_anchor": 0}, {}), ({"w_anchor": 0.5}, None)],
    "loss.whiten": [
        ({"whiten": True}, {}),
        ({"whiten": False, "style_bands": "raw"}, {"style_bands": "raw"}),
        ({"whiten": False, "texture_gain": 0.0}, {"texture_gain": 0.0}),
        ({"whiten": False}, None),
    ],
    "loss.texture_assignment": [
        ({"texture_assignment": True}, {}),
        ({**ASSIGNED, "assigned_works": 2}, {"assigned_works": 2}),
        ({**RANDOM, "assigned_works": 2}, {"assigned_works": 0}),
        ({"texture_assignment": False}, None),
    ],
    "loss.palette_assignment": [
        ({"palette_assignment": True}, {}),
        (RANDOM, {"assigned_works": 0}),
        ({"palette_assignment": False}, None),
    ],
    "loss.feature_assignment": [
        ({"feature_assignment": True}, {}),
        # As the plain preset had it, and with no weight on features.
        ({**UNSEEN, "perceptual_network": "none"}, {"assigned_works": 0} | NO_NETWORK),
        ({**UNSEEN, "feature_gain": 0.0}, {"assigned_works": 0, "feature_gain": 0.0}),
        ({"feature_assignment": False, **NO_NETWORK}, NO_NETWORK),
        ({**RANDOM, "feature_assignment": True}, None),
        ({"feature_assignment": False}, None),
    ],
    "loss.style_matching": [
        ({"style_matching": "image"}, {}),
        ({"style_matching": "group"}, None),
    ],
    "training.styles_per_batch": [
        ({"styles_per_batch": 0}, {}),
        ({"styles_per_batch": 1}, None),
    ],
}
"""Removed key -> sections as they were stored, and what they are read as; None: refused."""


def test_the_table_is_complete_and_holds_no_key_of_today() -> None:
    assert set(CASES) == set(REMOVED)
    assert set(REMOVED).isdisjoint(key.dotted for key in all_keys())
    for name, cases in CASES.items():
        results = [expected for _, expected in cases]
        assert None in results, f"{name}: a value that nothing replaces is refused"
        assert any(expected is not None for expected in results), name


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [(name, *case) for name, cases in CASES.items() for case in cases],
)
def test_each_row(name: str, stored: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """A stored section is read as one of today, or refused with the row's sentence."""
    section = name.partition(".")[0]
    values = {section: {**stored, **OTHERS.get(section, {})}}
    before = {section: dict(values[section])}
    if expected is None:
        with pytest.raises(ConfigError) as caught:
            config_from_dict(values, "old.pt")
        assert str(caught.value).startswith("old.pt has ")
        assert f"  - {refusal(*name.split('.'))}" in str(caught.value).splitlines()
    else:
        today = {section: {**OTHERS.get(section, {}), **expected}}
        assert translated(values) == today
        assert config_from_dict(values) == config_from_dict(today)
    assert values == before, "what was stored stays as it is"


OTHERS: dict[str, dict[str, Any]] = {"loss": {"num_projections": 32}, "training": {"seed": 3}}
"""Keys of today beside them, which stay."""


@pytest.mark.parametrize("name", REMOVED)
def test_a_file_and_set_refuse_it_whatever_its_value(name: str) -> None:
    """With the sentence, beside all other mistakes; `explain` says the same."""
    section, key = name.split(".")
    sentence = refusal(section, key)
    assert sentence is not None and sentence.startswith(f"{name}: was removed; ")
    for stored, _ in CASES[name]:
        if key not in stored:
            continue
        with pytest.raises(ConfigError) as caught:
            parse_config("{}", [f"{name}={stored[key]!r}", "loss.w_style=-1"])
        assert str(caught.value) == (
            "config.json has 2 problems:\n"
            f"  - {sentence}\n  - loss.w_style: must be at least 0 (got -1)"
        )
    for asked in (name, key):
        with pytest.raises(InputError, match=rf"^{name}: was removed; "):
            find_keys(asked)


def test_a_model_that_was_stored_with_all_of_them_paints_as_it_did(tmp_path: Path) -> None:
    """Checkpoints keep whole configurations, so every old one holds every removed key."""
    path = write_model(tmp_path / "new.pt")
    content = torch.load(path, weights_only=True)
    for name, cases in CASES.items():
        section, _, key = name.partition(".")
        stored = next(stored for stored, expected in cases if expected == {})
        content["config"][section][key] = stored[key]
    torch.save(content, tmp_path / "old.pt")
    assert Checkpoint.load(tmp_path / "old.pt").config == Checkpoint.load(path).config
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    new, old = (
        LGTInference(p, "cpu").transfer_style(x, 0, 1, seed=0) for p in (path, tmp_path / "old.pt")
    )
    assert torch.equal(new, old)


def test_a_model_whose_training_is_gone_paints_and_learns_nothing_more(tmp_path: Path) -> None:
    path = write_model(tmp_path / "new.pt")
    content = torch.load(path, weights_only=True)
    content["config"]["loss"]["whiten"] = False
    content["config"]["training"]["styles_per_batch"] = 2
    torch.save(content, tmp_path / "old.pt")
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    new, old = (LGTInference(p, "cpu") for p in (path, tmp_path / "old.pt"))
    assert torch.equal(*(model.transfer_style(x, 0, 1, seed=0) for model in (new, old)))
    assert new.outdated == () and len(old.outdated) == 2
    for arguments in (
        ("train", "--resume_from", tmp_path / "old.pt", "--set", f"checkpoint.save_dir={tmp_path}"),
        ("add-style", "mine", tmp_path, "--photos", tmp_path, "--model", tmp_path / "old.pt"),
    ):
        done = run_lgt(*arguments)
        assert done.exit_code == 2
        assert "can not be trained further as it was: loss.whiten: was removed" in done.stderr


def test_what_is_no_configuration_is_left_to_the_checks() -> None:
    assert translated({"loss": 3, "other": {"w_anchor": 0}}) == {
        "loss": 3,
        "other": {"w_anchor": 0},
    }
    assert translated(config_to_dict(Config())) == config_to_dict(Config())
    assert refusal("loss", "w_style") is None

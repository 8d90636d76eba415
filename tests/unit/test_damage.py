"""Damaged files of every kind end in one sentence: seeded fuzzing; `scripts/fuzz.py` does more."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch

from lgt.config import load_config
from lgt.damage import one_sentence, read_json
from lgt.data.store import load_latent
from lgt.errors import CheckpointError, ConfigError, InputError
from lgt.paint.transfer import _check_weights


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_files_end_in_one_sentence(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    assert import_module("fuzz").run(60, seed) == []


@pytest.mark.parametrize(
    "text", ["NaN", '{"a": -Infinity}', "[1e999]", "9" * 5000, "[" * 10**5, "[" * 200 + "]" * 200]
)
def test_json_is_plain(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|nested"):
        read_json(text)
    assert read_json('{"a": [1, 2.5, true, null, "b"]}') == {"a": [1, 2.5, True, None, "b"]}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**5,
        '{"a":' * 3000,
        '{"model": {"num_styles": ' + "9" * 5000 + "}}",
        '{"model": {"base_channels": 80000000}}',
        '{"model": {"num_encoder_blocks": 1000000}}',
        '{"training": {"num_epochs": 1e300}}',
    ],
)
def test_a_configuration_is_bounded(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        load_config(tmp_path / "config.json")


def test_latents_are_plain_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for odd in (torch.zeros(1).expand(4, 8, 8), torch.zeros(4, 8, 8, device="meta")):
        torch.save(odd, path)
        with pytest.raises(InputError, match="not stored as plain numbers"):
            load_latent(path)


def test_a_network_larger_than_its_file_is_not_built() -> None:
    from lgt.config import Config

    with pytest.raises(CheckpointError, match="do not fit its own `model` section"):
        _check_weights(Config(), {"w": torch.zeros(3)}, "m.pt")


def test_one_sentence_tells_what_was_seen() -> None:
    words = r"a\.pt: damaged, or not a model \(KeyError: 'x'\); go"
    gate = one_sentence("a.pt", "a model", "go", CheckpointError)
    with pytest.raises(CheckpointError, match=words), gate:
        raise KeyError("x")

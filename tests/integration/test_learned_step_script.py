"""The script that teaches the step of refining."""

from __future__ import annotations

import importlib
import signal
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from correctors import STYLE, photo_folder, small_model
from toys import equal_states, write_model

from lgt.model.checkpoint import Checkpoint
from lgt.nn.learned_step import LearnedStep, load_learned_step

SMALL = ["--styles", f"{STYLE},monet", "--width", "16", "--blocks", "1", "--batch", "1"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, repository: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    return importlib.import_module("teach_learned_step")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "model.pt", has_corrector=True)


def words(model: Path, photos: Path, out: Path, steps: int) -> list[str]:
    return [str(model), str(photos), str(out), *SMALL, "--steps", str(steps)]


def test_it_learns_to_go_down_the_energy(
    script: ModuleType,
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of one photo, by heart; the model stays as it is."""
    found: list[float] = []
    learn = script.Strides.learn

    def listening(self: Any, number: int, share: float) -> tuple[int, float]:
        style, value = learn(self, number, share)
        found.append(value)
        return style, value

    monkeypatch.setattr(script.Strides, "learn", listening)
    before = Checkpoint.load(model).network
    out = tmp_path / "step"
    script.main([*words(model, photos, out, 16), "--lr", "5e-3"])
    assert sum(found[-2:]) < 0.85 * sum(found[:2]), found
    assert equal_states(Checkpoint.load(model).network, before)
    step = load_learned_step(out)
    assert step.sizes["width"] == 16 and step.conv_out.weight.any()
    assert not out.with_suffix(".state.pt").exists()


def test_it_goes_on_where_it_was_stopped(
    script: ModuleType,
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script.main(words(model, photos, tmp_path / "whole", 3))
    numbers: list[int] = []
    learn = script.Strides.learn

    def stopping(self: Any, number: int, share: float) -> tuple[int, float]:
        numbers.append(number)
        if len(numbers) == 2:
            signal.raise_signal(signal.SIGINT)
        result: tuple[int, float] = learn(self, number, share)
        return result

    monkeypatch.setattr(script.Strides, "learn", stopping)
    with pytest.raises(SystemExit) as stopped:
        script.main(words(model, photos, tmp_path / "parts", 3))
    assert stopped.value.code == 130
    script.main(words(model, photos, tmp_path / "parts", 3))
    assert numbers == [0, 1, 2]
    assert "the same command goes on" in capsys.readouterr().out
    a, b = (load_learned_step(tmp_path / name) for name in ("whole", "parts"))
    assert equal_states(a.state_dict(), b.state_dict())
    assert not equal_states(a.state_dict(), LearnedStep(width=16, num_blocks=1).state_dict())


def test_what_can_not_be_learned_from_is_told(
    script: ModuleType,
    model: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = Checkpoint.load(model)
    assert kept.works is not None
    near = replace(kept, works=replace(kept.works, afar=None))
    near.save(tmp_path / "near.pt")
    bare = write_model(tmp_path / "bare.pt")
    for given, complaint in (
        (words(tmp_path / "near.pt", photos, tmp_path / "out", 3), "works look from afar"),
        ([str(bare), str(photos), str(tmp_path / "out")], "has not kept how the works"),
        ([*words(model, photos, tmp_path / "out", 3), "--styles", "nosuch"], "nosuch"),
        ([str(model), str(tmp_path), str(tmp_path / "out")], "holds no picture"),
    ):
        with pytest.raises(SystemExit) as refused:
            script.main(given)
        assert refused.value.code == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

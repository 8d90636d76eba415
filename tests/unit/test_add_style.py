"""Styles added to a trained model: codes, files, learning, `lgt add-style`, `lgt styles`."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from PIL import Image
from scenes import pictures

from lgt.cli.add_style import _Painter
from lgt.errors import CheckpointError, InputError
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import write_release
from lgt.model.style_file import (
    AddedStyle,
    check_name,
    installed_styles,
    model_hash,
    styles_folder,
    thumbnail_of,
)
from lgt.nn import load_perceptual_network
from lgt.train.new_style import LearningPlan, StyleLearner


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGT_STYLES", str(tmp_path / "styles"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return toys.write_model(tmp_path / "model.pt")


@pytest.fixture
def lgt(model: Path) -> LGTInference:
    return LGTInference(model, "cpu")


def code_of(lgt: LGTInference, seed: int = 0) -> np.ndarray:
    length = lgt.network.style_dim + sum(a * b for a, b in lgt.network.offset_sizes)
    return np.random.default_rng(seed).standard_normal(length, np.float32)


def a_style(lgt: LGTInference, name: str = "new", **changed: object) -> AddedStyle:
    style = AddedStyle(name=name, code=code_of(lgt), model=lgt.model_hash, num_works=3)
    return replace(style, **changed)  # type: ignore[arg-type]


def plan(**changed: object) -> LearningPlan:
    keys: dict[str, object] = {"steps": 6, "seconds": 1e6, "batch_size": 3, "base": "photo"}
    return LearningPlan(**(keys | changed))  # type: ignore[arg-type]


def learner(lgt: LGTInference, **changed: object) -> StyleLearner:
    latents = toys.fields(5, 4, 8)
    return StyleLearner(lgt, latents[:5], latents[5:], plan(**changed))


@pytest.fixture
def critical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LGTInference:
    """A model whose training had critics, and a memory of its outputs."""
    gains = {"loss__critic_gain": 2.0, "loss__collection_gain": 1.0, "loss__collection_memory": 5}
    settings = toys.config(toys.WITH_FEATURES, **gains)
    model = LGTInference(toys.write_model(tmp_path / "critics.pt", settings), "cpu")
    packaged = load_perceptual_network()  # As for a model of Stable Diffusion's latents.
    monkeypatch.setattr("lgt.train.new_style.build_perceptual_network", lambda *_: packaged)
    return model


def test_the_energy_is_that_of_the_training(critical: LGTInference) -> None:
    work = learner(critical)
    critic, collection = work.objective.critic, work.objective.collection
    assert critic is not None and collection is not None
    before = copy.deepcopy((critic.state_dict(), collection.state_dict()))
    assert len({work.energy_of(work.code().detach()) for _ in range(2)}) == 1
    assert toys.equal_states(before, (critic.state_dict(), collection.state_dict()))  # A look.
    work.advance()
    assert not toys.equal_states(before[0], critic.state_dict())
    assert not toys.equal_states(before[1], collection.state_dict())
    kept, works = work.works(), collection.works
    assert kept is not None and np.array_equal(kept["means.0"], works.means[0][1:])


def test_other_styles_stay_to_the_bit(lgt: LGTInference) -> None:
    x = toys.fields(1, 4, 8)
    before = [lgt.transfer_style(x, None, style, seed=0) for style in toys.STYLES]
    blend = lgt.transfer_style(x, None, {"photo": 0.3, "paint": 0.7}, seed=0)
    state = {name: value.clone() for name, value in lgt.network.state_dict().items()}
    lgt.add_style(a_style(lgt))
    lgt.add_style(a_style(lgt, code=code_of(lgt, 1)))
    for style, old in zip(toys.STYLES, before, strict=True):
        assert torch.equal(lgt.transfer_style(x, None, style, seed=0), old)
    assert torch.equal(lgt.transfer_style(x, None, {"photo": 0.3, "paint": 0.7}, seed=0), blend)
    assert toys.equal_states(lgt.network.state_dict(), state)


def test_an_added_style_paints_its_own_way_and_blends(lgt: LGTInference) -> None:
    x = toys.fields(1, 4, 8)
    first, second = lgt.add_style(a_style(lgt)), lgt.add_style(a_style(lgt, code=code_of(lgt, 1)))
    assert lgt.style_names == (*toys.STYLES, "new", "new-2")
    results = [lgt.transfer_style(x, None, i, seed=0) for i in (0, 1, first, second)]
    for i, a in enumerate(results):
        assert all(float((a - b).abs().max()) > 1e-3 for b in results[:i])
    mixed = lgt.transfer_style(x, None, {"new": 0.5, "paint": 0.5}, seed=0)
    assert not any(torch.equal(mixed, result) for result in results)
    # As a source's own style it is one that the encoder does not know.
    known = lgt.transfer_style(x, first, "paint", seed=0)
    assert torch.equal(known, lgt.transfer_style(x, None, "paint", seed=0))


def test_a_code_without_offsets_is_its_embedding(lgt: LGTInference) -> None:
    x = toys.fields(1, 4, 8)
    own = lgt.network.blend({1: 1.0}).detach().numpy()
    code = np.pad(own, (0, len(code_of(lgt)) - len(own)))
    added = lgt.add_style(a_style(lgt, code=code))
    assert torch.equal(
        lgt.transfer_style(x, None, added, seed=0), lgt.transfer_style(x, None, "paint", seed=0)
    )


def test_guidance_and_repulsion_take_added_styles(model: Path) -> None:
    lgt = LGTInference(model, "cpu", use_cfg=True, cfg_scale=3.0)
    lgt.add_style(a_style(lgt))
    x = toys.fields(1, 4, 8)
    plain = lgt.transfer_style(x, None, "new", seed=0)
    assert torch.isfinite(plain).all()
    assert not torch.equal(plain, lgt.transfer_style(x, None, "new", seed=0, repulsion=1.0))


def test_a_wrong_code_is_refused(lgt: LGTInference) -> None:
    with pytest.raises(CheckpointError, match=r"has \d+ numbers \(got 3\)"):
        lgt.add_style(a_style(lgt, code=np.zeros(3, np.float32)))


def test_files_come_back(lgt: LGTInference, tmp_path: Path) -> None:
    picture = thumbnail_of(Image.new("RGB", (300, 200), "red"))
    style = a_style(lgt, base="paint", steps=7, thumbnail=picture)
    path = tmp_path / "deep" / "new.safetensors"
    style.save(path)
    read = AddedStyle.load(path, lgt.model_hash)
    assert np.array_equal(read.code, style.code)
    assert replace(read, code=style.code, path=None) == style
    shown = read.picture()
    assert shown is not None and shown.size == (128, 85)
    assert path.stat().st_size < 1_000_000
    assert [p.name for p in path.parent.iterdir()] == ["new.safetensors"]


def test_files_of_other_kinds_and_models_are_refused(lgt: LGTInference, tmp_path: Path) -> None:
    path = tmp_path / "new.safetensors"
    with pytest.raises(CheckpointError, match="no such style file"):
        AddedStyle.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="damaged, or not a style file"):
        AddedStyle.load(path)
    a_style(lgt, model="0" * 64).save(path)
    with pytest.raises(CheckpointError, match="was learned with another model"):
        lgt.style_id(str(path))
    with pytest.raises(CheckpointError, match="was learned with another model"):
        lgt.add_style(AddedStyle.load(path))
    a_style(lgt, code=np.full_like(code_of(lgt), np.nan)).save(path)
    with pytest.raises(CheckpointError, match="damaged"):
        AddedStyle.load(path)


def test_a_model_is_no_style_file(model: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.safetensors"
    write_release(Checkpoint.load(model), packed)
    with pytest.raises(CheckpointError, match="not a style file"):
        AddedStyle.load(packed)


def test_a_packed_model_takes_the_styles_of_its_checkpoint(model: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.safetensors"
    checkpoint = Checkpoint.load(model)
    write_release(checkpoint, packed)
    hashes = {model_hash(Checkpoint.load(p).inference_weights) for p in (model, packed)}
    assert len(hashes) == 1
    changed = {name: weight + 1 for name, weight in checkpoint.inference_weights.items()}
    assert model_hash(changed) not in hashes


@pytest.mark.parametrize("name", ["", "all", "a b", "../up", "3", "x.safetensors", "a" * 65])
def test_bad_names(name: str) -> None:
    with pytest.raises(InputError, match="style name"):
        check_name(name)
    with pytest.raises(InputError, match="the model itself has"):
        check_name("photo", ("photo",))


def test_styles_are_found_by_name_and_by_file(lgt: LGTInference, tmp_path: Path) -> None:
    style = a_style(lgt)
    style.save(styles_folder(lgt.model_hash) / "new.safetensors")
    style.save(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="unknown style 'nex'"):
        lgt.style_id("nex")
    assert lgt.style_id("new") == 2 == lgt.style_id("new")
    assert lgt.style_id(str(tmp_path / "other.safetensors")) == 3
    assert lgt.style_id(str(tmp_path / "other.safetensors")) == 3
    assert lgt.style_weights({"new": 1, "paint": 1}) == {2: 0.5, 1: 0.5}
    assert [s.name for s in installed_styles(lgt.model_hash)] == ["new"]
    assert installed_styles("f" * 64) == []


def test_learning_lowers_the_energy_and_leaves_the_network(lgt: LGTInference) -> None:
    state = {name: value.clone() for name, value in lgt.network.state_dict().items()}
    work = learner(lgt, steps=15)
    before = work.energy_of(work.code().detach())
    assert work.base == "photo"
    while work.fraction < 1:
        work.advance()
    after = work.energy_of(work.code().detach())
    assert work.step == 15
    assert after < before - 0.02
    assert toys.equal_states(lgt.network.state_dict(), state)
    assert float(work.code.offsets.detach().abs().max()) > 0


def test_the_nearest_style_is_the_start(lgt: LGTInference) -> None:
    work = learner(lgt, base=None)
    energies = {
        name: work.energy_of(lgt.network.blend({lgt.style_id(name): 1.0}))
        for name in lgt.painted_styles
    }
    assert work.base == min(energies, key=lambda name: energies[name])


def test_time_ends_learning(lgt: LGTInference) -> None:
    work = learner(lgt, steps=10**6, seconds=0.05)
    while work.fraction < 1:
        work.advance()
    assert 1 <= work.step < 1000


@pytest.mark.parametrize("kind", ["lgt", "critical"])
def test_going_on_equals_not_stopping(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lgt: LGTInference = request.getfixturevalue(kind)
    whole, first, second = learner(lgt), learner(lgt), learner(lgt)
    while whole.fraction < 1:
        whole.advance()
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "state", {"name": "x"})
    assert not second.load(tmp_path / "state", {"name": "y"})
    assert second.step == 0
    assert second.load(tmp_path / "state", {"name": "x"})
    while second.fraction < 1:
        second.advance()
    assert torch.equal(whole.code(), second.code())
    (tmp_path / "state").write_bytes(b"broken")
    assert not second.load(tmp_path / "state", {"name": "x"})


def test_commands(model: Path, tmp_path: Path) -> None:
    works, photos = pictures(tmp_path / "works", 2), pictures(tmp_path / "photos", 3, 1)
    arguments = ["add-style", "mine", works, "--model", model, "--steps", 2]
    missing = toys.run_lgt(*arguments)
    assert missing.exit_code == 2 and "--photos is needed" in missing.output
    made = toys.run_lgt(*arguments, "--photos", photos)
    assert made.exit_code == 0, made.output
    assert "2 pictures only" in made.output and "3 photo(s) only" in made.output
    again = toys.run_lgt(*arguments, "--photos", photos)
    assert again.exit_code == 2 and "exists already" in again.output
    listed = json.loads(toys.run_lgt("styles", "--model", model, "--json").stdout)
    (added,) = listed["added"]
    assert (added["name"], added["num_works"], added["steps"]) == ("mine", 2, 2)
    file = Path(added["file"])
    assert [p.name for p in file.parent.iterdir()] == ["mine.safetensors"]
    for style in ("mine", file):
        out = tmp_path / "out.png"
        done = toys.run_lgt("transfer", works / "0.png", out, "--model", model, "--style", style)
        assert done.exit_code == 0 and "style mine" in done.output
        out.unlink()
    kept = file.rename(tmp_path / "shared.safetensors")
    assert " mine (added" not in toys.run_lgt("styles", "--model", model).output
    assert toys.run_lgt("styles", "--model", model, "--install", kept).exit_code == 0
    sheet = tmp_path / "sheet.png"
    assert " mine (added" in toys.run_lgt("styles", "--model", model, "--out", sheet).output
    assert toys.run_lgt("styles", "--model", model, "--install", kept).exit_code == 2
    assert toys.run_lgt("styles", "--model", model, "--remove", "mine").exit_code == 0
    assert toys.run_lgt("styles", "--model", model, "--remove", "mine").exit_code == 2


def test_an_interrupted_command_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, photos = pictures(tmp_path / "works", 1), pictures(tmp_path / "photos", 3, 1)
    out = tmp_path / "mine.safetensors"
    arguments = ["add-style", "mine", works / "0.png", "--photos", photos, "--model", model]
    arguments += ["--steps", 4, "--out", out, "--base", "photo"]
    advance = StyleLearner.advance

    def stopped(self: StyleLearner) -> float:
        import os
        import signal

        if self.step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self)

    monkeypatch.setattr(StyleLearner, "advance", stopped)
    first = toys.run_lgt(*arguments)
    assert first.exit_code == 130 and not out.exists()
    assert "one picture only" in first.output.lower()
    monkeypatch.setattr(StyleLearner, "advance", advance)
    other = toys.run_lgt(*arguments, "--seed", 5)
    assert other.exit_code == 2 and "--restart" in other.output
    second = toys.run_lgt(*arguments)
    assert second.exit_code == 0 and "going on from step 2" in second.output
    assert AddedStyle.load(out).steps == 4
    assert sorted(p.name for p in tmp_path.glob("*mine*")) == ["mine.safetensors"]


def test_pictures_show_the_style_while_it_is_learned(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, photos = pictures(tmp_path / "works", 2), pictures(tmp_path / "photos", 3, 1)
    arguments = ["add-style", "mine", works, "--photos", photos, "--model", model, "--steps", 3]
    shown: list[bytes] = []
    show = _Painter.show

    def noted(self: _Painter, path: Path) -> None:
        show(self, path)
        assert path == tmp_path / "-1.0.progress.jpg"
        shown.append(path.read_bytes())

    monkeypatch.setattr(_Painter, "show", noted)
    codes = []
    for seconds in (1e9, -1.0):
        monkeypatch.setattr("lgt.cli.add_style.PREVIEW_SECONDS", seconds)
        out = tmp_path / f"{seconds}.safetensors"
        assert toys.run_lgt(*arguments, "--out", out).exit_code == 0
        codes.append(AddedStyle.load(out).code)
    assert np.array_equal(*codes)  # Looking changes nothing.
    assert len(set(shown)) == 3
    assert not list(tmp_path.glob("*.jpg"))

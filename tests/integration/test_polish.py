"""`lgt polish`: what a descent does goes into a corrector, which a model has or is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from correctors import SIDE, STYLE, changed_parts, ends, photo_folder, small_model
from PIL import Image
from safetensors.torch import load_file, save_file
from toys import equal_states, picture, run_lgt, write_model

import lgt.train.teaching
from lgt.codec import load_codec
from lgt.config import config_from_dict, config_to_dict
from lgt.energy import SeenContent
from lgt.errors import InputError
from lgt.image import to_pixels
from lgt.model.checkpoint import Checkpoint
from lgt.model.style_file import AddedStyle
from lgt.nn import NULL_STYLE
from lgt.paint.transfer import LGTInference
from lgt.train.corrector import give_corrector, styles_of
from lgt.train.last_energies import Demands
from lgt.train.new_style import StyleCode
from lgt.train.polish import PolishedPictures
from lgt.train.squares import PhotoSquares
from lgt.train.teaching import Standing, Teaching

STEPS = 8


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model without corrector."""
    return small_model(tmp_path_factory.mktemp("plain") / "model.pt", has_corrector=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def energies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the energies that are told, in turn."""
    found: list[float] = []
    init = Teaching.__init__

    def listening(self: Teaching, *values: object, **options: object) -> None:
        def report(standing: Standing) -> None:
            found.append(float(standing.told.split()[-1]))

        init(self, *values, **{**options, "report": report})  # type: ignore[arg-type]

    monkeypatch.setattr(Teaching, "__init__", listening)
    return found


def words(model: Path, out: Path, photos: Path, *more: str) -> list[str]:
    few = ("--steps", str(STEPS), "--batch", "1", "--styles", STYLE, "--blocks", "2")
    few += ("--pairs", "0")
    return ["polish", str(model), str(out), "--photos", str(photos), *few, *more]


def test_a_model_is_given_a_corrector_that_lowers_the_energy(
    plain: Path, photos: Path, tmp_path: Path, energies: list[float]
) -> None:
    out = tmp_path / "out.pt"
    run = run_lgt(*words(plain, out, photos, "--learning_rate", "4e-3", "--content", "0.5"))
    assert run.exit_code == 0, run.output
    assert len(energies) == STEPS and energies[-1] < energies[0]
    assert changed_parts(plain, out) == {"corrector"}
    assert Checkpoint.load(out).config.model.num_corrector_blocks == 2
    pixels = torch.from_numpy(to_pixels(picture(5, (SIDE, SIDE))))
    x_src = load_codec("embedded").encode(2 * pixels - 1)
    style = LGTInference(plain, "cpu").style_id(STYLE)
    moved, *held = (
        float((ends(out, x_src, number) - ends(plain, x_src, number)).norm())
        for number in (style, 0, NULL_STYLE)
    )
    assert all(change < 0.5 * moved for change in held), "photos, and what has no style, stay"
    assert not list(tmp_path.glob("*.state.pt")), "what is done leaves nothing to go on from"
    sheet = Image.open(tmp_path / "out.progress.jpg")
    assert sheet.width > 2 * SIDE and sheet.height > 2 * SIDE, "before and now, beside the photo"
    again = run_lgt(*words(plain, out, photos))
    assert again.exit_code == 2 and "exists; replace it with --overwrite" in again.output


def test_it_goes_on_where_it_was_stopped_or_killed(
    plain: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number is learned from once, and the weights are those of a run in one go."""
    whole, parts = tmp_path / "whole.pt", tmp_path / "parts.pt"
    assert run_lgt(*words(plain, whole, photos)).exit_code == 0
    learn, numbers = PolishedPictures.learn, list[int]()

    def stopping(self: PolishedPictures, number: int, share: float) -> tuple[int, float]:
        numbers.append(number)
        if len(numbers) in (2, STEPS + 1):  # In the last step there is nothing left to stop.
            signal.raise_signal(signal.SIGINT)
        if len(numbers) == 6:
            raise MemoryError
        return learn(self, number, share)

    monkeypatch.setattr(PolishedPictures, "learn", stopping)
    monkeypatch.setattr(lgt.train.teaching, "SAVE_EVERY", 1)
    stopped = run_lgt(*words(plain, parts, photos))
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    assert parts.exists() and numbers == [0, 1]
    other = run_lgt(*words(plain, parts, photos, "--content", "3"))
    assert other.exit_code == 2
    assert "left by a run with other settings (--content);" in other.output
    assert isinstance(run_lgt(*words(plain, parts, photos)).exception, MemoryError)
    assert run_lgt(*words(plain, parts, photos)).exit_code == 0
    assert numbers == [0, 1, 2, 3, 4, 5, *range(5, STEPS)]
    a, b = (Checkpoint.load(path).network for path in (whole, parts))
    assert equal_states(a, b)


def test_a_new_corrector_begins_with_where_descents_end(
    plain: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made once, come nearer by the copy, and are gone in the end."""
    out, kept = tmp_path / "out.pt", tmp_path / "out.pairs"
    learn, numbers = PolishedPictures.learn, list[int]()

    def stopping(self: PolishedPictures, number: int, share: float) -> tuple[int, float]:
        numbers.append(number)
        if len(numbers) == 1:
            signal.raise_signal(signal.SIGINT)
        return learn(self, number, share)

    monkeypatch.setattr(PolishedPictures, "learn", stopping)
    monkeypatch.setattr("lgt.train.copying.DESCENT", 3)
    few = ("--steps", "20", "--pairs", "2", "--blocks", "4", "--learning_rate", "2e-3")
    first = run_lgt(*words(plain, out, photos, *few))
    assert first.exit_code == 130 and numbers == [40], "twice as many quick steps come before"
    assert "refining squares to begin with: 0/2" in first.output
    made = sorted(path.name for path in kept.iterdir())
    assert made == ["00000.safetensors", "00001.safetensors"]
    pair = {name: tensor.clone() for name, tensor in load_file(kept / made[0]).items()}
    x_src, x_star = (pair[name].float() for name in ("x_src", "x_star"))
    style = LGTInference(plain, "cpu").style_id(STYLE)
    before, after = (ends(model, x_src, style) for model in (plain, out))
    assert float((after - x_star).norm()) < 0.98 * float((before - x_star).norm())
    (kept / made[0]).write_bytes(b"cut")
    broken = run_lgt(*words(plain, out, photos, *few))
    assert broken.exit_code == 2 and "damaged" in broken.output and "remove it" in broken.output
    (kept / made[0]).unlink()
    (kept / "mine.txt").write_text("not ours")
    done = run_lgt(*words(plain, out, photos, *few))
    assert done.exit_code == 0 and "refining squares to begin with: 0/1" in done.output
    assert numbers == [40, *range(41, 60)]
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]
    save_file(pair, kept / made[0], {"origin": "another"})
    other = run_lgt(*words(plain, out, photos, *few, "--overwrite"))
    assert other.exit_code == 2 and "left by a run with another model" in other.output


def test_a_style_may_be_called_as_a_folder(plain: Path, photos: Path, tmp_path: Path) -> None:
    """What is kept of descents is not called by it, and what has a corrector needs none."""
    model = Checkpoint.load(plain)
    names = tuple("europe/print" if name == STYLE else name for name in model.style_names)
    values = config_to_dict(model.config)
    values["data"]["style_subdirs"] = list(names)
    values["loss"]["content_by_style"] = values["training"]["target_shares"] = {}
    config = config_from_dict(values, "renamed")
    replace(model, style_names=names, config=config).save(tmp_path / "model.pt")
    out, more = tmp_path / "out.pt", ("--styles", "europe/print", "--steps", "1")
    run = run_lgt(*words(tmp_path / "model.pt", out, photos, *more, "--pairs", "1"))
    assert run.exit_code == 0, run.output
    again = run_lgt("polish", out, tmp_path / "b.pt", "--photos", photos, "--pairs", "1")
    assert again.exit_code == 2 and "out.pt: has a corrector" in again.output


def test_two_processes_learn_together(plain: Path, photos: Path, tmp_path: Path) -> None:
    """Their gradients are those of one with twice the pictures a step, each of its own style."""
    alone, together = tmp_path / "alone.pt", tmp_path / "together.pt"
    more = ("--steps", "2", "--styles", f"{STYLE},monet", "--device", "cpu")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    commands = [
        [sys.executable, "-m", "lgt", *words(plain, alone, photos, *more, "--batch", "2")],
        [*launcher, "--nproc_per_node", "2", "-m", "lgt", *words(plain, together, photos, *more)],
    ]
    for command in commands:  # One thread each: sums of another order are other strokes.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("polished in 2 steps") == 1, "one speaks for all"
    lgt = LGTInference(plain, "cpu")
    give_corrector(lgt, 2)
    begun = lgt.network.state_dict()
    a, b = (Checkpoint.load(path).network for path in (alone, together))
    moved, apart = (
        sum(float((x[name] - y[name]).norm()) for name in a) for x, y in ((a, begun), (a, b))
    )
    assert apart < 0.05 * moved


def test_what_is_not_finite_is_not_learned(plain: Path, photos: Path, tmp_path: Path) -> None:
    run = run_lgt(*words(plain, tmp_path / "out.pt", photos, "--content", "inf"))
    assert run.exit_code == 1 and "step 1: energy" in run.output
    assert "the gradients are not finite; what was written last is as it was" in run.output
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--content_by_style", "monet"), "'monet' is not STYLE=FACTOR"),
        (("--content_by_style", "monet=-1"), "'monet=-1' is not STYLE=FACTOR"),
        (("--content_by_style", "none=1"), "none"),
        (("--styles", "none"), "none"),
        (("--styles", ","), "',' names no style"),
        (("--photos", "nowhere"), "--photos: no such folder: nowhere"),
    ],
)
def test_what_is_wrong_is_said(
    plain: Path, photos: Path, tmp_path: Path, more: tuple[str, ...], complaint: str
) -> None:
    out = tmp_path / "out.pt"
    run = run_lgt(*words(plain, out, photos, *more))
    assert run.exit_code == 2 and complaint in run.output
    assert not out.exists()


def test_models_that_have_kept_no_works_are_refused(photos: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.pt")
    run = run_lgt("polish", model, tmp_path / "out.pt", "--photos", photos)
    assert run.exit_code == 2 and "has not kept how the works of its styles look" in run.output
    run = run_lgt("polish", model, tmp_path / "out.safetensors", "--photos", photos)
    assert run.exit_code == 2 and "OUT must end in .pt" in run.output
    run = run_lgt("polish", model, model, "--photos", photos, "--overwrite")
    assert run.exit_code == 2 and "would be lost" in run.output
    run = run_lgt("polish", model, tmp_path / "out.pt")
    assert run.exit_code == 2 and "--photos is needed" in run.output


def test_what_is_asked_reaches_the_energy(plain: Path, photos: Path) -> None:
    """Content near by and from afar, also by style, and calm."""

    def asked(style: str, content: float, calm: float, **by_style: float) -> tuple[float, ...]:
        lgt = LGTInference(plain, "cpu")
        give_corrector(lgt, 1)
        squares = PhotoSquares([photos / "a.png"], SIDE, str)
        demands = Demands.of(content, calm, by_style)
        pictures = PolishedPictures(lgt, squares, [style], demands)
        pictures.learn(0, 1.0)
        (energy,) = pictures.energies.last.values()
        near, afar = (sight.energy for sight in energy.sights)
        clutter = next(term for term in near.terms if isinstance(term, SeenContent))
        return near.w_content, afar.w_content, clutter.gains["clutter"]

    near, afar, clutter = asked("monet", 1.0, 1.0, monet=1.0)
    assert asked("monet", 3.0, 2.0, monet=0.5) == (1.5 * near, 1.5 * afar, 2 * clutter)
    by_style = LGTInference(plain, "cpu").config.loss.content_by_style["monet"]
    assert asked("monet", 1.0, 1.0) == (by_style * near, by_style * afar, clutter)


def test_added_styles_are_not_polished(plain: Path) -> None:
    """Their codes are of weights that change; those of the model that are not named are all."""
    lgt = LGTInference(plain, "cpu")
    own = styles_of(None, lgt)
    assert STYLE in own and "photo" not in own
    code = StyleCode(lgt.network, lgt.style_id(STYLE))().detach().numpy()
    lgt.add_style(AddedStyle(name="mine", code=code, model=lgt.model_hash, num_works=3))
    assert styles_of(None, lgt) == own
    assert styles_of(f" {STYLE}, monet,", lgt) == [STYLE, "monet"]
    with pytest.raises(InputError, match="'mine' was added to the model"):
        styles_of("mine", lgt)


def test_a_dead_link_is_no_end(plain: Path, photos: Path, tmp_path: Path) -> None:
    place = photo_folder(tmp_path / "linked")
    (place / "b.png").symlink_to(tmp_path / "gone.png")
    run = run_lgt(*words(plain, tmp_path / "out.pt", place, "--steps", "1"))
    assert run.exit_code == 0, run.output


def test_a_broken_photo_is_left_out_and_told_once(photos: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    told: list[str] = []
    squares = PhotoSquares([photos / "a.png", *[broken] * 30], 64, told.append)
    drawn = [squares.square(number) for number in range(20)]
    assert len(told) == 1 and "broken.png" in told[0]
    assert all(square.size == (64, 64) and short in (64, 72, 80) for square, short in drawn)
    again = PhotoSquares([photos / "a.png", *[broken] * 30], 64, told.append).square(7)[0]
    assert again.tobytes() == drawn[7][0].tobytes()
    with pytest.raises(InputError, match="none of the 1 photos can be read"):
        PhotoSquares([broken], 64, told.append).square(0)

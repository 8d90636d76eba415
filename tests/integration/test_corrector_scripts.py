"""Scripts that take a descent into the corrector alone, and some of it out again."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from toys import picture

from lgt import LGTInference
from lgt.codec import load_codec
from lgt.errors import InputError
from lgt.image import save_image, to_pixels
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, LGTUNet

SIDE = 264
STYLE = "ukiyoe"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, repository: Path) -> dict[str, ModuleType]:
    """Return the scripts, at work on small squares, and what they share."""
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    names = ("teaching", "teach_corrector", "correcting", "polish_corrector", "temper_corrector")
    found = {name: importlib.import_module(name) for name in names}
    monkeypatch.setattr(found["teach_corrector"], "SIDE", SIDE)
    monkeypatch.setattr(found["teach_corrector"], "SHORT_SIDES", (SIDE, SIDE + 40))
    monkeypatch.setattr(found["teaching"], "SAVE_EVERY", 1)
    return found


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return the model inside the package without its corrector."""
    found = Checkpoint.load(find_model("embedded"))
    model = found.config.model.model_copy(update={"num_corrector_blocks": 0})
    config = found.config.model_copy(update={"model": model})
    weights = found.inference_weights.items()
    kept = {name: tensor for name, tensor in weights if not name.startswith("corrector.")}
    replace(found, config=config, network=kept, ema=None).save(tmp_path / "plain.pt")
    return tmp_path / "plain.pt"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    save_image(picture(5, (SIDE, SIDE)), tmp_path / "photos" / "a.png")
    return tmp_path / "photos"


def ends(model: str | Path, x: torch.Tensor, style: int) -> torch.Tensor:
    """Return where a model's one step leads."""
    return ends_of(LGTInference(model, "cpu").network, x, style)


def ends_of(network: LGTUNet, x: torch.Tensor, style: int) -> torch.Tensor:
    """Return where a network's one step leads."""
    with torch.inference_mode():
        condition = network.condition(torch.tensor([style]), torch.tensor([NULL_STYLE]))
        end: torch.Tensor = x + network.velocity(x, torch.zeros(1), condition)
    return end


def changed_parts(model: str | Path, out: Path) -> set[str]:
    """Return the first parts of the names of weights that are not as they were."""
    before = LGTInference(model, "cpu").network.state_dict()
    after = Checkpoint.load(out).network
    return {
        name.split(".")[0]
        for name, value in after.items()
        if name not in before or not torch.equal(value, before[name])
    }


def test_the_corrector_is_taught_what_refining_does(
    scripts: dict[str, ModuleType],
    plain: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The end comes nearer to the refined one; photos, and what has no style, stay."""
    teach, out, pairs = scripts["teach_corrector"], tmp_path / "taught.pt", tmp_path / "pairs"
    words = [str(plain), str(photos), str(out), "--pairs", str(pairs), "--styles", STYLE]
    words += ["--count", "1", "--refine", "4", "--steps", "60", "--batch", "1", "--blocks", "4"]
    teach.main(words)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"pair 1/1: {STYLE}") and printed[-1] == str(out)
    assert changed_parts(plain, out) == {"corrector"}
    style = LGTInference(plain, "cpu").style_id(STYLE)
    (pair,) = teach.read_pairs(pairs, LGTInference(plain, "cpu"), [STYLE])
    assert pair.style == style
    before, after = (ends(model, pair.x_src, style) for model in (plain, out))
    far = float((before - pair.x_star).norm())
    assert float((after - pair.x_star).norm()) < 0.96 * far
    for kept in (0, NULL_STYLE):
        moved = ends(out, pair.x_src, kept) - ends(plain, pair.x_src, kept)
        assert float(moved.norm()) < 0.3 * far
    teach.main([*words, "--steps", "1"])
    assert "pair" not in capsys.readouterr().out, "those that are there are not made again"
    with pytest.raises(InputError, match="of another model; give another folder as --pairs"):
        teach.read_pairs(pairs, LGTInference(out, "cpu"), [STYLE])
    next(pairs.iterdir()).write_bytes(b"cut")
    with pytest.raises(InputError, match=r"ukiyoe_0000\.safetensors: damaged .*; remove it"):
        teach.read_pairs(pairs, LGTInference(plain, "cpu"), [STYLE])


def test_the_corrector_follows_the_energy_and_goes_on_where_it_was(
    scripts: dict[str, ModuleType],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    teach, polish = scripts["teach_corrector"], scripts["polish_corrector"]
    taught, out, again = (tmp_path / name for name in ("taught.pt", "out.pt", "again.pt"))
    words = ["embedded", str(photos), str(taught), "--pairs", str(tmp_path / "pairs")]
    teach.main([*words, "--styles", STYLE, "--count", "1", "--refine", "1", "--steps", "2"])
    settings = ["--styles", STYLE, "--steps", "8", "--batch", "1", "--lr", "4e-3"]
    settings += ["--content_by_style", f"{STYLE}=0.5"]
    capsys.readouterr()
    polish.main([str(taught), str(photos), str(out), *settings])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    energies = [float(line.split("energy ")[1].split(",")[0]) for line in lines]
    assert len(energies) == 8 and energies[-1] < energies[0]
    assert changed_parts(taught, out) == {"corrector"}

    learn, numbers = polish.PolishedPictures.learn, list[int]()

    def stopping(self: object, number: int, share: float) -> object:
        numbers.append(number)
        if len(numbers) == 4:
            raise KeyboardInterrupt
        return learn(self, number, share)

    monkeypatch.setattr(polish.PolishedPictures, "learn", stopping)
    with pytest.raises(KeyboardInterrupt):
        polish.main([str(taught), str(photos), str(again), *settings])
    with pytest.raises(SystemExit):
        polish.main([str(taught), str(photos), str(again), *settings, "--content", "3"])
    assert "left by a run with other settings (content);" in capsys.readouterr().err
    polish.main([str(taught), str(photos), str(again), *settings])
    assert numbers == [0, 1, 2, 3, *range(3, 8)]
    assert not list(tmp_path.glob("*.state.pt")), "what is done leaves nothing to go on from"
    states = (Checkpoint.load(path).network for path in (out, again))
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_a_style_gets_a_share_of_the_corrector(
    scripts: dict[str, ModuleType],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Most of what the corrector changes is gone in a style that gets none of it."""
    out, words = tmp_path / "out.pt", ["--steps", "50", "--batch", "1"]
    scripts["temper_corrector"].main(
        ["embedded", str(photos), str(out), *words, "--shares", f"{STYLE}=0"]
    )
    assert changed_parts("embedded", out) == {"corrector"}
    model = LGTInference("embedded", "cpu")
    pixels = torch.from_numpy(to_pixels(picture(5, (SIDE, SIDE))))
    x_src = load_codec("embedded").encode(2 * pixels - 1)

    def change(lgt: LGTInference, other: LGTInference, style: str) -> float:
        number = lgt.style_id(style)
        a, b = (ends_of(each.network, x_src, number) for each in (lgt, other))
        return float((a - b).norm())

    tempered, base = LGTInference(out, "cpu"), LGTInference("embedded", "cpu")
    base.network.corrector = None
    assert change(tempered, base, STYLE) < 0.6 * change(model, base, STYLE)
    assert change(tempered, model, "monet") < 0.5 * change(model, base, "monet")
    with pytest.raises(SystemExit):
        scripts["temper_corrector"].main(
            ["embedded", str(photos), str(out), *words, "--shares", "nosuch=0"]
        )
    assert "nosuch" in capsys.readouterr().err


def test_a_folder_without_pictures_is_one_sentence(
    scripts: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(SystemExit):
            scripts["teach_corrector"].main(
                ["embedded", str(folder), str(tmp_path / "out.pt"), "--pairs", str(tmp_path / "p")]
            )
        assert capsys.readouterr().err == f"error: {folder}: no pictures there\n"


def test_a_model_without_corrector_is_told_what_to_do(
    scripts: dict[str, ModuleType],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = LGTInference("embedded", "cpu")
    model.network.corrector = None
    monkeypatch.setattr(scripts["correcting"], "LGTInference", lambda *_: model)
    with pytest.raises(SystemExit):
        scripts["polish_corrector"].main(["embedded", str(photos), str(tmp_path / "out.pt")])
    assert "has no corrector; see scripts/teach_corrector.py" in capsys.readouterr().err

"""Scripts that take a descent into the corrector alone, and some of it out again."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from correctors import SIDE, STYLE, changed_parts, ends, ends_of, photo_folder, small_model
from toys import picture

from lgt import LGTInference
from lgt.codec import load_codec
from lgt.errors import InputError
from lgt.image import to_pixels
from lgt.nn import NULL_STYLE


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, repository: Path) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    names = ("teaching", "teach_corrector", "temper_corrector")
    return {name: importlib.import_module(name) for name in names}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a model without corrector."""
    return small_model(tmp_path / "plain.pt", has_corrector=False)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Return one with the shipped corrector."""
    return small_model(tmp_path / "shipped.pt", has_corrector=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photo_folder(tmp_path / "photos")


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


def test_a_style_gets_a_share_of_the_corrector(
    scripts: dict[str, ModuleType],
    shipped: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Most of what the corrector changes is gone in a style that gets none of it."""
    out, words = tmp_path / "out.pt", ["--steps", "50", "--batch", "1"]
    scripts["temper_corrector"].main(
        [str(shipped), str(photos), str(out), *words, "--shares", f"{STYLE}=0"]
    )
    assert changed_parts(shipped, out) == {"corrector"}
    model = LGTInference(shipped, "cpu")
    pixels = torch.from_numpy(to_pixels(picture(5, (SIDE, SIDE))))
    x_src = load_codec("embedded").encode(2 * pixels - 1)

    def change(lgt: LGTInference, other: LGTInference, style: str) -> float:
        number = lgt.style_id(style)
        a, b = (ends_of(each.network, x_src, number) for each in (lgt, other))
        return float((a - b).norm())

    tempered, base = LGTInference(out, "cpu"), LGTInference(shipped, "cpu")
    base.network.corrector = None
    assert change(tempered, base, STYLE) < 0.6 * change(model, base, STYLE)
    assert change(tempered, model, "monet") < 0.5 * change(model, base, "monet")
    with pytest.raises(SystemExit):
        scripts["temper_corrector"].main(
            [str(shipped), str(photos), str(out), *words, "--shares", "nosuch=0"]
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
        assert re.search("holds no picture|no such folder", capsys.readouterr().err)


def test_a_model_without_corrector_is_told_what_to_do(
    scripts: dict[str, ModuleType],
    plain: Path,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(plain), str(photos), str(tmp_path / "out.pt"), "--shares", f"{STYLE}=0.5"]
    with pytest.raises(SystemExit):
        scripts["temper_corrector"].main(words)
    assert "has no corrector; see `lgt polish`" in capsys.readouterr().err

"""The script that takes some of a corrector out of single styles."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from correctors import SIDE, STYLE, changed_parts, ends_of, photo_folder, small_model
from toys import picture

from lgt import LGTInference
from lgt.codec import load_codec
from lgt.image import to_pixels


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch, repository: Path) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    names = ("teaching", "temper_corrector")
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
        words = ["embedded", str(folder), str(tmp_path / "out.pt"), "--shares", f"{STYLE}=0.5"]
        with pytest.raises(SystemExit):
            scripts["temper_corrector"].main(words)
        assert re.search("^error: .*(holds no picture|no such folder)", capsys.readouterr().err)


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

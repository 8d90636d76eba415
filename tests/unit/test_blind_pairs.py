"""`scripts/blind_pairs.py`: who made what stays hidden, and what is chosen is counted."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toys import make_images, picture

METHODS = ("zebra", "okapi")
STYLES = ("dots", "lines")
PHOTOS = [f"p{i}" for i in range(6)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Enter a folder with photos and results of two methods; return the script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "photos", [f"{name}.png" for name in PHOTOS])
    for number, method in enumerate(METHODS):
        for style in STYLES:
            for index, name in enumerate(PHOTOS):
                suffix = f"_{style}" if method == "okapi" else ""
                path = tmp_path / method / style / f"{name}{suffix}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                text = PngInfo()
                text.add_text("Software", method)
                picture(100 * number + 50 + 10 * STYLES.index(style) + index).save(
                    path, pnginfo=text
                )
    return import_module("blind_pairs")


def make(script: Any, *more: str, out: str = "blind") -> list[dict[str, str]]:
    script.main(["make", *METHODS, "--photos", "photos", "--out", out, *more])
    pairs: list[dict[str, str]] = json.loads(Path(out, "key.json").read_text())["pairs"]
    return pairs


def name_of(folder: str = "blind") -> str:
    return str(json.loads(Path(folder, "key.json").read_text())["set"])


def choose(pairs: list[dict[str, str]], winner: str, path: str = "choices.json") -> Path:
    """Write the choices of someone who always prefers a method."""
    sides = {n: "left" if p["left"] == winner else "right" for n, p in enumerate(pairs, 1)}
    Path(path).write_text(json.dumps({"set": name_of(), "choices": sides}))
    return Path(path)


def refused(script: Any, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        script.main(list(words))
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and text.count("\n") == 1
    return text


def test_pairs_are_of_one_photo_and_style_and_drawn_by_the_seed(script: Any) -> None:
    pairs = make(script)
    assert len(pairs) == 12
    assert {(p["style"], p["photo"]) for p in pairs} == {(s, p) for s in STYLES for p in PHOTOS}
    assert all({p["left"], p["right"]} == set(METHODS) for p in pairs)
    assert 1 < sum(p["left"] == "zebra" for p in pairs) < 11
    assert make(script, out="again") == pairs
    assert make(script, "--seed", "1", out="other") != pairs


def test_fewer_pairs_come_from_every_style(script: Any) -> None:
    pairs = make(script, "--count", "4")
    assert sorted(p["style"] for p in pairs) == ["dots", "dots", "lines", "lines"]
    assert {p["style"] for p in make(script, "--styles", "lines")} == {"lines"}


def test_three_methods_make_three_comparisons(script: Any) -> None:
    Path("zebra").rename("third")
    make_images(Path("zebra/dots"), ["p0.png"])
    script.main(["make", "third", *METHODS, "--photos", "photos", "--out", "blind"])
    pairs = json.loads(Path("blind/key.json").read_text())["pairs"]
    assert len(pairs) == 12 + 1 + 1


def test_the_page_tells_no_method(script: Any) -> None:
    make(script)
    text = Path("blind/pairs.html").read_text()
    told = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", text)
    for word in (*METHODS, *PHOTOS, "seed"):
        assert word not in told
    assert text.count("data:image/jpeg") == len(PHOTOS) * (1 + 2 * len(STYLES))
    assert name_of() in told and "no difference" in told
    assert not re.search(r"(src|href)=.(?!data:)http", told)


def test_pictures_of_pairs_tell_no_method(script: Any) -> None:
    make(script, "--png")
    files = sorted(Path("blind/pairs").iterdir())
    assert [path.name for path in files] == [f"{n:02}.png" for n in range(1, 13)]
    for path in files:
        assert not any(method.encode() in path.read_bytes() for method in METHODS)
        with Image.open(path) as sheet:
            assert sheet.width > 3 * 40
    lines = Path("blind/choices.txt").read_text().splitlines()
    assert lines[1:4] == [f"set {name_of()}", "1 ", "2 "]


def test_results_of_other_sizes_look_alike(script: Any) -> None:
    """A size would tell the method; a result of another shape is refused."""
    for path in Path("zebra").rglob("*.png"):
        picture(1, (80, 64)).save(path)
    make(script, "--png")
    sizes = {Image.open(path).size for path in Path("blind/pairs").iterdir()}
    assert len(sizes) == 1


def test_choices_are_counted(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = make(script)
    first = choose(pairs, "zebra")
    numbers = [n for n, pair in enumerate(pairs, 1) if pair["style"] == "dots"]
    lines = [f"set {name_of()}", "# tired", *(f"{n} none" for n in numbers), "7" * (7 in numbers)]
    Path("b.txt").write_text("\n".join(lines))
    capsys.readouterr()
    script.main(["count", str(first), "b.txt", "--key", "blind/key.json"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:5]]
    assert [row[2:7] for row in rows] == [
        ["all", "18", "0", "6", "12"],
        ["dots", "12", "0", "6", "6"],
        ["lines", "6", "0", "0", "6"],
    ]
    assert rows[0][:2] == ["| okapi", "zebra"]
    assert rows[2][7] == "0% (0% to 39%)"
    assert rows[1][7:] == ["0% (0% to 24%)", "0% (0% to 39%) |"]


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [(85, 100, (0.767, 0.907)), (0, 10, (0.0, 0.278)), (10, 10, (0.722, 1.0)), (0, 0, (0, 1))],
)
def test_wilson(script: Any, successes: int, count: int, expected: tuple[float, float]) -> None:
    assert script.wilson(successes, count) == pytest.approx(expected, abs=5e-4)


def test_bad_choices(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(script)

    def counted(text: str) -> str:
        Path("c").write_text(text)
        return refused(script, capsys, "count", "c", "--key", "blind/key.json")

    name = name_of()
    assert "holds choices on the set other" in counted('{"set": "other", "choices": {"1": "left"}}')
    assert "on the set ?" in counted("1 left")
    assert "there is no pair 13; they are 1 to 12" in counted(f"set {name}\n13 left")
    assert "there is no pair -1" in counted(f"set {name}\n-1 left")
    assert "'both' is no choice; take left, right, none" in counted(f"set {name}\n2 both")
    assert "pair 2 has two choices" in counted(f"set {name}\n2 left\n2 right")
    assert "expected the file that the page gave" in counted('{"set": "x"')
    assert "expected the file that the page gave" in counted('{"set": "x", "choices": 3}')
    assert "no choice was made yet" in counted(f"set {name}\n1\n2 ")
    Path("c").write_bytes(b"\xff\xfe\x00")
    assert "can not be read as text" in refused(
        script, capsys, "count", "c", "--key", "blind/key.json"
    )
    assert "can not be read" in refused(script, capsys, "count", "no", "--key", "blind/key.json")


def test_bad_keys(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = make(script)
    first = str(choose(pairs, "zebra"))
    assert "is not the key.json" in refused(script, capsys, "count", first, "--key", first)
    pairs[0]["left"], pairs[0]["right"] = pairs[0]["right"], pairs[0]["left"]
    Path("k").write_text(json.dumps({"set": name_of(), "pairs": pairs}))
    assert "was changed since" in refused(script, capsys, "count", first, "--key", "k")


def test_bad_folders(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*words: str) -> str:
        return refused(script, capsys, "make", *words, "--photos", "photos", "--out", "blind")

    assert "two folders of results or more, got 1" in asked("zebra")
    assert "two methods are named zebra" in asked("zebra", "zebra=okapi")
    assert "no such folder: nowhere" in asked("zebra", "nowhere")
    assert "same photo in cubism" in asked(*METHODS, "--styles", "cubism")
    assert "--count: must be at least 1, got 0" in asked(*METHODS, "--count", "0")
    picture(0, (40, 20)).save("zebra/dots/p0.png")
    assert "of another shape than its photo (40 x 32)" in asked(*METHODS)
    Path("zebra/dots/p0_dots.png").write_bytes(Path("zebra/dots/p1.png").read_bytes())
    assert "two results of the photo p0: p0.png and p0_dots.png" in asked(*METHODS)
    assert not Path("blind/key.json").exists()

"""Many pictures: which files, their results' names, skipping, failures, threads, interruption."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from toys import config, run_lgt, write_model
from typer.main import get_command

from lgt import LGTInference
from lgt.batch import PhotoFile, find_photos, plan_works, stylize_files
from lgt.batch import Result as Painted
from lgt.cli.app import _build
from lgt.errors import InputError
from lgt.paint.controls import Controls
from lgt.paint.painter import Painter
from lgt.paint.provenance import read_provenance
from lgt.paint.recipe import Recipe
from lgt.paint.torch_engine import TorchEngine

MODEL = Path("checkpoints/latest.pt")
SLUGS = {"paint": "paint"}


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model and photos, two of them in a sub-folder."""
    monkeypatch.chdir(tmp_path)
    settings = config(data__style_subdirs=["photo", "paint", "ink"], model__num_styles=3)
    write_model(MODEL, settings)
    for index, name in enumerate(("a.jpg", "b.png", "sub/c.jpg", "sub/d.webp")):
        picture(Path("photos", name), index)
    return tmp_path


def picture(path: Path, seed: int = 0) -> Path:
    """Write a small picture that is older than whatever is made of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (24, 17, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    os.utime(path, (1e9, 1e9))
    return path


def transfer(*arguments: object) -> Result:
    return run_lgt("transfer", *arguments, "--style", "paint")


def files(folder: str) -> list[str]:
    root = Path(folder)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def painter() -> Painter:
    lgt = LGTInference(MODEL)
    return Painter(TorchEngine(lgt, lgt.load_codec()))


def pixels(name: str | Path) -> np.ndarray:
    return np.asarray(Image.open(name), dtype=int)


def test_a_folder_is_painted_like_its_files() -> None:
    result = transfer("photos", "out")
    assert result.exit_code == 0, result.stderr
    assert files("out") == ["a_paint.png", "b_paint.png"]
    assert "out: 2 written, 0 already there" in result.stdout
    assert "out/a_paint.png: 17 x 24, style paint, " in result.stdout
    assert transfer("photos/a.jpg", "one.png").exit_code == 0
    assert np.array_equal(pixels("one.png"), pixels("out/a_paint.png"))
    assert read_provenance(Path("one.png")) == read_provenance(Path("out/a_paint.png"))


def test_sub_folders_are_kept_and_styles_multiply() -> None:
    result = run_lgt("transfer", "photos", "out", "--recursive", "--style", "paint,ink")
    assert result.exit_code == 0, result.stderr
    stems = ("a", "b", "sub/c", "sub/d")
    names = [f"{stem}_{style}.png" for stem in stems for style in ("paint", "ink")]
    assert files("out") == sorted(names)
    assert not np.array_equal(pixels("out/a_paint.png"), pixels("out/a_ink.png"))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["photos/*.jpg"], ["a_paint.png"]),
        (["photos/**/*.jpg"], ["a_paint.png", "sub/c_paint.png"]),
        (["photos/a.jpg", "photos/sub/c.jpg"], ["a_paint.png", "c_paint.png"]),
        (["photos/a.jpg", "photos/a.jpg"], ["a_paint.png"]),
        (["photos/a.jpg", "photos/sub"], ["a_paint.png", "c_paint.png", "d_paint.png"]),
    ],
)
def test_patterns_and_several_files(inputs: list[str], expected: list[str]) -> None:
    result = transfer(*inputs, "out")
    assert result.exit_code == 0, result.stderr
    assert files("out") == expected


def test_a_file_whose_name_looks_like_a_pattern() -> None:
    picture(Path("x[1].png"))
    assert transfer("x[1].png", "y.png").exit_code == 0
    assert Image.open("y.png").size == (17, 24)


def test_equal_names_get_results_of_their_own() -> None:
    picture(Path("photos/a.png"), 9)
    assert transfer("photos", "out").exit_code == 0
    assert files("out") == ["a.jpg_paint.png", "a.png_paint.png", "b_paint.png"]
    picture(Path("other/a.jpg"), 8)
    assert transfer("photos/a.jpg", "other/a.jpg", "out2").exit_code == 0
    assert files("out2") == ["other/a_paint.png", "photos/a_paint.png"]
    for side, seed in (("x", 1), ("y", 2)):
        picture(Path(side, "same", "p.png"), seed)
    names = [photo.name for photo in find_photos([Path("x/same"), Path("y/same")])]
    assert names == ["x/same/p.png", "y/same/p.png"]


def test_names_never_collide_over_styles() -> None:
    photos = [PhotoFile(Path(name), name) for name in ("a.jpg", "a_b.jpg", "A.JPG", "a.jpg.png")]
    slugs = {"c": "c", "b c": "b_c"}
    works = plan_works(photos, slugs, Path("out"))
    outputs = [str(path).casefold() for work in works for path in work.outputs.values()]
    assert len(outputs) == 8
    assert len({*outputs}) == 8


def test_what_is_there_is_skipped_until_something_changes() -> None:
    def counts(*options: object) -> str:
        result = transfer("photos", "out", *options)
        assert result.exit_code == 0, result.stderr
        return result.stdout.splitlines()[-1].removeprefix("out: ")

    none, all_, one = (f"{n} written, {2 - n} already there" for n in (0, 2, 1))
    assert counts() == all_
    before = Path("out/a_paint.png").stat().st_mtime_ns
    assert counts() == none
    assert Path("out/a_paint.png").stat().st_mtime_ns == before
    assert counts("--strength", 0.5) == all_
    assert counts("--strength", 0.5) == none
    assert counts("--strength", 0.5, "--overwrite") == all_
    os.utime("photos/a.jpg")
    os.utime("out/a_paint.png", (1.1e9, 1.1e9))
    assert counts("--strength", 0.5) == one, "newer photo"
    picture(Path("photos/a.jpg"), 77)
    assert counts("--strength", 0.5) == one, "other bytes under an old date"
    Path("out/b_paint.png").write_bytes(b"damaged")
    assert counts("--strength", 0.5) == one
    write_model(MODEL, config(data__style_subdirs=["photo", "paint"], training__seed=9))
    assert counts("--strength", 0.5) == all_, "other weights"
    assert counts("--no_metadata") == all_
    assert counts("--no_metadata") == all_, "cannot be told from others"


def test_a_broken_photo_does_not_stop_the_others() -> None:
    Path("photos/aa.jpg").write_text("hello")
    result = transfer("photos", "out")
    assert result.exit_code == 1
    assert files("out") == ["a_paint.png", "b_paint.png"]
    assert "1 photo(s) could not be painted:" in result.stderr
    assert "  - photos/aa.jpg: not an image that can be read" in result.stderr
    assert transfer("photos/a.jpg", "gone.jpg", "out").exit_code == 1
    Path("out/b_paint.png").unlink()
    Path("out/b_paint.png").mkdir()
    result = transfer("photos/a.jpg", "photos/b.png", "out")
    assert result.exit_code == 1, "a result that can not be written"
    assert "photos/b.png" in result.stderr


def test_what_a_folder_leaves_out_is_named() -> None:
    picture(Path("photos/c.avif"), 3)
    Image.open("photos/a.jpg").save("photos/noending", "PNG")
    Path("photos/d.jxl").write_bytes(b"\xff\x0a" + bytes(60))
    Path("photos/notes.txt").write_text("hello")
    Path("photos/gone.jpg").symlink_to("/nowhere.jpg")
    Path("photos/circle").symlink_to("circle")
    result = transfer("photos", "out")
    assert result.exit_code == 1
    assert files("out") == ["a_paint.png", "b_paint.png", "c_paint.png"]
    for line in (
        "3 picture(s) or link(s) left out:",
        "  - photos/circle: a link that leads nowhere, or may not be followed",
        "  - photos/d.jxl: is a JPEG XL picture, which is not read; convert it",
        "  - photos/noending: is a PNG picture by its content; name it *.png",
        "1 photo(s) could not be painted:",
        "  - photos/gone.jpg: a link to /nowhere.jpg, which is not there (paint)",
    ):
        assert line in result.stderr
    assert "notes.txt" not in result.stderr


def test_a_photo_too_long_for_its_format_is_told_before_it_is_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.new("RGB", (16400, 1)).save("photos/wide.png")

    def paint(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Painter, "paint", paint)
    result = transfer("photos/wide.png", "wide.webp")
    assert result.exit_code == 2
    assert "wide.webp: 16400 x 1 pixels, and WEBP takes at most 16383 a side" in result.stderr


def test_dpi_and_max_side_of_a_large_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (640, 320), "teal").save("photos/large.jpg", dpi=(300, 300))
    monkeypatch.setattr("lgt.image.read.MAX_PIXELS", 100_000)
    assert transfer("photos", "out").exit_code == 1
    assert transfer("photos", "out", "--max_side", "32").exit_code == 0
    with Image.open("out/large_paint.png") as painted:
        assert painted.size == (32, 16)
        assert painted.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_json_lines() -> None:
    Path("photos/aa.jpg").write_text("hello")
    (first, broken, last) = map(json.loads, transfer("photos", "out", "--json").stdout.splitlines())
    assert first["seconds"] > 0
    expected = {"input": "photos/a.jpg", "output": "out/a_paint.png", "style": "paint"}
    assert first == {**expected, "size": [17, 24], "seconds": first["seconds"], "backend": "cpu"}
    assert "not an image" in broken["error"]
    assert last["input"] == "photos/b.png"
    again = [json.loads(line) for line in transfer("photos", "out", "--json").stdout.splitlines()]
    assert [line.get("skipped", False) for line in again] == [True, False, True]
    (one,) = map(json.loads, transfer("photos/a.jpg", "x.png", "--json").stdout.splitlines())
    assert one["size"] == [17, 24]
    failed = transfer("photos/aa.jpg", "x.png", "--json")
    assert failed.exit_code == 2
    assert "not an image" in json.loads(failed.stdout)["error"]
    refused = transfer("photos", "x.png", "--json")
    assert refused.exit_code == 2
    expected = {"input": "photos", "error": refused.stderr.rpartition("error: ")[2].strip()}
    assert json.loads(refused.stdout) == expected


def test_standard_input_and_output() -> None:
    assert transfer("photos/a.jpg", "x.png").exit_code == 0
    arguments = ["transfer", "-", "-", "--style", "paint"]
    data = Path("photos/a.jpg").read_bytes()
    result = CliRunner().invoke(get_command(_build()), arguments, input=data)
    assert result.exit_code == 0, result.stderr
    Path("y.png").write_bytes(result.stdout_bytes)
    assert np.array_equal(pixels("y.png"), pixels("x.png"))
    assert "-: 17 x 24, style paint" in result.stderr
    made = read_provenance(Path("y.png"))
    assert made is not None
    assert made.input.name == "-"
    replay = run_lgt("inspect", "y.png", "--replay", "z.png", "--input", "photos/a.jpg")
    assert replay.exit_code == 0, replay.stderr
    assert np.array_equal(pixels("z.png"), pixels("x.png"))
    empty = CliRunner().invoke(get_command(_build()), arguments, input=b"")
    assert empty.exit_code == 2
    assert "standard input: empty" in empty.stderr
    Path("out").mkdir()
    arguments[2] = "out"
    assert CliRunner().invoke(get_command(_build()), arguments, input=data).exit_code == 0
    assert files("out") == ["stdin_paint.png"]


def test_results_are_no_photos() -> None:
    for _ in range(2):
        result = transfer("photos", "photos/painted", "--recursive")
        assert result.exit_code == 0, result.stderr
    assert len(files("photos/painted")) == 4
    assert "0 written, 4 already there" in result.stdout
    for _ in range(2):
        assert transfer("photos/*.png", "photos").exit_code == 0
    assert files("photos/painted") == files("photos/painted")
    assert [name for name in files("photos") if "/" not in name] == [
        "a.jpg",
        "b.png",
        "b_paint.png",
    ]


def test_an_interruption_leaves_whole_files_and_the_rest_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paint, calls = Painter.paint, []

    def interrupted(*arguments: object, **options: object) -> Image.Image:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return paint(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Painter, "paint", interrupted)
    result = transfer("photos", "out", "--recursive")
    assert result.exit_code == 130
    assert "run the same command again to go on" in result.stderr
    assert files("out") == ["a_paint.png", "b_paint.png"], "no temporary file"
    for name in files("out"):
        Image.open(Path("out", name)).load()
    monkeypatch.setattr(Painter, "paint", paint)
    assert "2 written, 2 already there" in transfer("photos", "out", "--recursive").stdout


def test_python_iterates_lazily_and_in_order() -> None:
    works = plan_works(find_photos([Path("photos")], recursive=True), SLUGS, Path("out"))
    recipes = {"paint": Recipe(style={"paint": 1.0}, controls=Controls(strength=0.5))}
    run = stylize_files(painter(), works, recipes, num_workers=1)
    first = next(run)
    assert isinstance(first, Painted)
    assert first.output == Path("out/a_paint.png")
    assert first.output.exists()
    run.close()
    assert len(files("out")) < 4
    results = list(stylize_files(painter(), works, recipes, num_workers=3))
    assert [r.output.name for r in results] == [f"{n}_paint.png" for n in "abcd"]
    assert results[0].is_skipped
    assert len(files("out")) == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import lgt.batch.photos as module

    for index in range(8):
        picture(Path(f"many/{index}.png"), index)
    reads: list[Path] = []
    read = module.read_picture
    monkeypatch.setattr(module, "read_picture", lambda path: (reads.append(path), read(path))[1])
    works = plan_works(find_photos([Path("many")]), SLUGS, Path("out"))
    run = stylize_files(painter(), works, {"paint": Recipe(style={"paint": 1.0})}, num_workers=1)
    next(run)
    assert len(reads) <= 4
    run.close()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("photos out.png", "photos: is a folder; several photos give several pictures"),
        ("photos -", "OUT must be a folder"),
        ("photos/a.jpg photos/b.png x.png", "OUT must be a folder, such as x/"),
        ("photos photos", "is the folder of the photos, too"),
        ("none* out", "no image or video file matches this pattern"),
        ("checkpoints out", "checkpoints: no image or video in this folder"),
        ("nest out", "add --recursive"),
        ("- photos/a.jpg out", "standard input is one picture"),
        ("photos/b.png photos/b_paint.png photos", "would replace it"),
    ],
)
def test_mistakes_are_one_message_and_write_nothing(arguments: str, text: str) -> None:
    picture(Path("nest/deep/a.png"))
    picture(Path("photos/b_paint.png"))
    before = files(".")
    result = transfer(*arguments.split())
    assert result.exit_code == 2
    assert text in result.stderr
    assert files(".") == before


def test_what_many_photos_do_not_take() -> None:
    result = run_lgt("transfer", "photos", "out", "--interpolate", "paint,ink")
    assert "--interpolate takes one photo" in result.stderr
    with pytest.raises(InputError, match="unknown style"):
        painter().weights("oil")

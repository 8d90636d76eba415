"""Names, pipes, folders and formats of `lgt transfer`, and a console that lacks letters."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import toys
from PIL import Image

from lgt.batch import plan_works
from lgt.batch.sources import PhotoFile
from lgt.files import NAME_MAX, atomic_write, fitted_name
from lgt.paint.provenance import FileRecord, Provenance, read_provenance


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (16, 16), (200, 90, 40)).save(path)
    return path


@pytest.fixture
def fixed(tmp_path: Path) -> tuple[object, ...]:
    model = toys.write_model(tmp_path / "toy.pt")
    return ("--style", "paint", "--model", model, "--backend", "torch")


def in_a_console(encoding: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run `lgt ARGUMENTS` in a process whose output has an encoding."""
    command = [sys.executable, "-m", "lgt", *map(str, arguments)]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def test_a_slash_makes_a_folder(photo: Path, tmp_path: Path, fixed: tuple[object, ...]) -> None:
    out = tmp_path / "a" / "new"
    assert toys.run_lgt("transfer", photo, f"{out}/", *fixed).exit_code == 0
    assert [p.name for p in out.iterdir()] == ["photo_paint.png"]
    refused = toys.run_lgt("transfer", photo, tmp_path / "b", *fixed)
    assert refused.exit_code == 2 and "can not tell the format" in refused.stderr
    failed = toys.run_lgt("transfer", tmp_path / "no.png", f"{tmp_path}/c/d/", *fixed)
    assert failed.exit_code == 2 and not (tmp_path / "c").exists(), "nothing is left behind"
    taken = toys.run_lgt("transfer", photo, f"{photo}/", *fixed)
    assert taken.exit_code == 2 and "is a file, not a folder" in taken.stderr


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("photo.png", "notes/a.png"),
        ("photo.png", "notes/new/a.png"),
        ("folder", "notes/new"),
        ("clip.gif", "notes/a.gif"),
    ],
)
def test_a_place_that_takes_no_result_is_told_before_the_work(
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fixed: tuple[object, ...],
    source: str,
    out: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("folder/a.png", "folder/b.png"):
        Image.open(photo).save(tmp_path / name)
    frames = [Image.open(photo), Image.new("RGB", (16, 16))]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "notes").write_text("not a folder")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("lgt.runtime.open.open_engine", lambda *_: pytest.fail("was loaded"))
    failed = toys.run_lgt("transfer", source, out, *fixed)
    assert failed.exit_code == 2, failed.stderr
    place = out if source == "folder" else str(Path(out).parent)
    assert (
        f"error: {place}: nothing could be written there ({tmp_path / 'notes'}: " in failed.stderr
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        "export notes/a.onnx --style vangogh",
        "export --web notes/site",
        "evaluate embedded --photos . --styles . --out notes/report",
        "add-style mine . --photos . --model model.pt --out notes/mine.safetensors",
    ],
)
def test_other_commands_tell_such_a_place_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    toys.write_model(tmp_path / "model.pt")
    (tmp_path / "notes").write_text("not a folder")
    failed = toys.run_lgt(*words.split())
    assert failed.exit_code == 2
    assert f"nothing could be written there ({tmp_path / 'notes'}: " in failed.stderr
    assert (tmp_path / "notes").read_text() == "not a folder"


def test_a_place_above_a_link_is_that_above_its_end(
    photo: Path, tmp_path: Path, fixed: tuple[object, ...]
) -> None:
    for name in ("in", "out"):
        (tmp_path / "far" / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "in")
    (tmp_path / "out").write_text("not a folder")
    painted = toys.run_lgt("transfer", photo, f"{tmp_path}/link/../out/a.png", *fixed)
    assert painted.exit_code == 0, painted.stderr
    assert (tmp_path / "far" / "out" / "a.png").is_file()


@pytest.mark.parametrize(("name", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
def test_a_folder_of_a_format(
    photo: Path, tmp_path: Path, fixed: tuple[object, ...], name: str, kind: str
) -> None:
    (tmp_path / "in").mkdir()
    photo.rename(tmp_path / "in" / "a.png")
    arguments = ("transfer", tmp_path / "in", tmp_path / "out", *fixed, "--format", name)
    assert "1 written" in toys.run_lgt(*arguments).stdout
    output = tmp_path / "out" / f"a_paint.{name}"
    with Image.open(output) as image:
        assert image.format == kind
    made = read_provenance(output)
    assert made is not None and made.input.name == "a.png"
    assert "0 written, 1 already there" in toys.run_lgt(*arguments).stdout
    several = ("--style", "paint,photo", *fixed[2:], "--format", name)
    toys.run_lgt("transfer", tmp_path / "in" / "a.png", f"{tmp_path}/two/", *several)
    names = {f"a_{word}.{name}" for word in ("paint", "photo", "sheet")}
    assert {p.name for p in (tmp_path / "two").iterdir()} == names


def test_a_format_that_can_not_be(photo: Path, tmp_path: Path, fixed: tuple[object, ...]) -> None:
    for output, name, message in [
        ("o.png", "jpg", "is not a folder; its own suffix gives the format"),
        ("new/", "bmp", "--format must be one of png, jpg, webp (got 'bmp')"),
    ]:
        done = toys.run_lgt("transfer", photo, f"{tmp_path}/{output}", *fixed, "--format", name)
        assert done.exit_code == 2 and message in done.stderr


def test_long_names_are_cut_by_bytes(tmp_path: Path) -> None:
    name = "照" * 80
    for target in (tmp_path / f"{name}_monet.png", tmp_path / ("é" * 125 + ".png")):
        with atomic_write(target) as temporary:
            temporary.write_bytes(b"1")
            assert len(os.fsencode(temporary.name)) <= NAME_MAX
        assert target.read_bytes() == b"1"
    assert fitted_name(name, "_monet.png") == f"{name}_monet.png"
    longest = [fitted_name("照" * 82 + end, "_monet.png") for end in "ab"]
    assert len(set(longest)) == 2 and all(len(os.fsencode(n)) <= NAME_MAX for n in longest)
    photos = [PhotoFile(Path(f"sub/{'照' * 83}.jpg"), f"sub/{'照' * 83}.jpg")]
    (work,) = plan_works(photos, {"monet": "monet"}, tmp_path, ".jpg")
    (output,) = work.outputs.values()
    assert output.parent == tmp_path / "sub" and output.name.endswith("_monet.jpg")
    assert len(os.fsencode(output.name)) <= NAME_MAX


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_read_as_files_are(
    photo: Path, tmp_path: Path, fixed: tuple[object, ...]
) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (16, 16)).save(mask)
    pipes = {photo: tmp_path / "in.pipe", mask: tmp_path / "mask.pipe"}
    for pipe in pipes.values():
        os.mkfifo(pipe)

    def feed() -> None:
        for source, pipe in pipes.items():
            pipe.write_bytes(source.read_bytes())

    writer = threading.Thread(target=feed, daemon=True)
    writer.start()
    out = tmp_path / "o.png"
    masked = ("--mask", pipes[mask], "--json")
    done = toys.run_lgt("transfer", pipes[photo], out, *fixed, *masked)
    assert done.exit_code == 0 and str(pipes[photo]) in done.stdout
    with Image.open(out) as image:
        assert image.tobytes() == Image.open(photo).tobytes(), "black of the mask stays"
    writer.join(10)
    emptied = threading.Thread(target=lambda: pipes[photo].write_bytes(b""), daemon=True)
    emptied.start()
    empty = toys.run_lgt("transfer", pipes[photo], out, *fixed)
    assert empty.exit_code == 2 and f"{pipes[photo]}: nothing came out" in empty.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take Unicode names only")
def test_names_that_are_not_utf8(photo: Path, tmp_path: Path, fixed: tuple[object, ...]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    photo.rename(folder / os.fsdecode(b"caf\xe9.png"))
    done = in_a_console("utf-8", "transfer", folder, tmp_path / "out", *fixed)
    assert done.returncode == 0 and b"caf\\udce9_paint.png: 16 x 16" in done.stdout
    (output,) = (tmp_path / "out").iterdir()
    shown = in_a_console("utf-8", "inspect", output)
    assert shown.returncode == 0 and b"caf\\udce9.png" in shown.stdout
    made = read_provenance(output)
    assert made is not None and made.input.name == "caf\udce9.png"
    text = made.to_json()
    assert text.isascii() and Provenance.from_json(text) == made
    assert FileRecord(name="caf\udce9.png", sha256="0").name == "caf\udce9.png"


def test_a_console_without_the_letters_of_a_name(
    photo: Path, tmp_path: Path, fixed: tuple[object, ...]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("写真.png", "a.png"):
        (folder / name).write_bytes(photo.read_bytes())
    done = in_a_console("cp1252", "transfer", folder, tmp_path / "out", *fixed)
    assert done.returncode == 0 and b"2 written" in done.stdout
    assert b"\\u5199\\u771f_paint.png" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("device", ["cuda:77", "mps"])
def test_an_absent_device_is_refused(
    photo: Path, tmp_path: Path, fixed: tuple[object, ...], device: str
) -> None:
    import torch

    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has the device")
    done = toys.run_lgt("transfer", photo, tmp_path / "o.png", *fixed, "--device", device)
    assert done.exit_code == 2 and not (tmp_path / "o.png").exists()
    assert f"device: '{device}' was asked for, but " in done.stderr
    listed = toys.run_lgt("styles", "--model", fixed[3], "--device", device)
    assert listed.exit_code == 2 and f"device: '{device}' was asked for, but " in listed.stderr


@pytest.mark.parametrize("address", ["s3://bucket/out.png", "https://host/a.jpg", "gs://bucket/o/"])
def test_an_address_is_no_path(
    address: str, photo: Path, fixed: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results would lie in a folder of this machine that is called `s3:`."""
    monkeypatch.chdir(photo.parent)
    before = sorted(photo.parent.iterdir())
    said, refused = f"{address.rstrip('/')}: is an address", []
    if address.startswith("https"):  # Of others these may be folders of a store.
        refused.append(("transfer", address, "out.png", *fixed))
        refused.append(("preprocess", "--raw_data_root", address, "--output_root", "latents"))
    for arguments in (
        *refused,
        ("transfer", photo, address, *fixed),
        ("transfer", photo, "out.png", *fixed, "--mask", address),
        ("preprocess", "--raw_data_root", "raw", "--output_root", address),
        ("inspect", address),
    ):
        done = toys.run_lgt(*arguments)
        assert done.exit_code == 2 and said in done.stderr, (arguments, done.stderr)
    assert sorted(photo.parent.iterdir()) == before

"""Folders in object stores: painted from, painted into, preprocessed; here fsspec's in memory."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from PIL import Image

import lgt.batch.spread
import lgt.data.encode
import lgt.data.pictures
import lgt.stores
from lgt.cluster import Spread, Stages
from lgt.data.preprocess import preprocess_folder
from lgt.errors import InputError, LGTWarning, StorageError
from lgt.files import temporary_name
from lgt.paint.provenance import read_provenance
from lgt.stores import (
    address_of,
    names_in,
    read_stored,
    refuse_address,
    remove_stale_stored,
    shown,
    stored_at,
    write_stored,
)

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an empty store, and work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    system = fsspec.filesystem("memory")
    system.pipe_file("/bucket/.begun", b"")
    yield system
    system.rm("/bucket", recursive=True)


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((96, 64)).save(buffer, "PNG")
    return buffer.getvalue()


def fill(system: Any) -> dict[str, bytes]:
    """Put photos into the store, one of them damaged; return the whole ones."""
    found = {"a.png": png(0), "trip/b.png": png(1)}
    for name, data in found.items():
        system.pipe_file(f"/bucket/photos/{name}", data)
    system.pipe_file("/bucket/photos/bad.jpg", b"no picture")
    system.pipe_file("/bucket/photos/note.txt", b"no picture either")
    system.pipe_file("/bucket/photos/.hidden/c.png", png(2))
    system.pipe_file("/bucket/photos/__MACOSX/c.png", png(2))
    return found


def names(system: Any, root: str) -> list[str]:
    return sorted(path.removeprefix(f"{root}/") for path in system.find(root))


@pytest.fixture
def fixed(tmp_path: Path) -> tuple[object, ...]:
    model = toys.write_model(tmp_path / "toy.pt")
    return ("--style", "paint", "--model", model, "--backend", "torch")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg"),
        ("gs://bucket", "gs://bucket"),
        ("photos/a.jpg", None),
        ("a:b.jpg", None),
        ("C:/a.jpg", None),
        ("dir/s3:/a.jpg", None),
    ],
)
def test_what_is_an_address(path: str, address: str | None) -> None:
    assert address_of(Path(path)) == address
    assert shown(Path(path)) == path


def test_a_folder_that_is_called_so_is_no_address(store: Any) -> None:
    Path("s3:").mkdir()
    assert address_of(Path("s3:/there.png")) is None
    refuse_address(Path("s3:/there.png"))


def test_what_a_store_does_not_have_is_said(store: Any) -> None:
    fill(store)
    with pytest.raises(InputError, match="no such file"):
        read_stored("memory://bucket/photos/none.png")
    with pytest.raises(InputError, match="no such file"):
        stored_at("memory://bucket/photos/none.png")
    with pytest.raises(InputError, match="no file directly below it"):
        names_in("memory://bucket", recursive=False)
    with pytest.raises(InputError, match="Protocol not known: s4"):
        names_in("s4://bucket", recursive=False)
    with pytest.raises(InputError, match="whole folders"):
        names_in("memory://bucket/photos/a.png", recursive=False)


@pytest.mark.parametrize("name", ["odd//c.png", "up/../../c.png", "C:/c.png", "a\\c.png"])
def test_names_that_lead_elsewhere_are_left_out(
    name: str, store: Any, fixed: tuple[object, ...]
) -> None:
    """And the others are painted."""
    fill(store)
    store.store[f"/bucket/photos/{name}"] = store.store["/bucket/photos/a.png"]
    command = ("transfer", "memory://bucket/photos", "out/deep/", *fixed, "--recursive")
    with pytest.warns(LGTWarning, match=r"memory://bucket/photos: 1 file\(s\) left out; the name"):
        toys.run_lgt(*command)
    written = sorted(p.relative_to("out").as_posix() for p in Path("out").rglob("*.png"))
    assert written == ["deep/a_paint.png", "deep/trip/b_paint.png"]


def test_a_folder_of_a_store_is_painted_into_a_store(store: Any, fixed: tuple[object, ...]) -> None:
    fill(store)
    command = ("transfer", "memory://bucket/photos", "memory://bucket/out/", *fixed, "--recursive")
    done = toys.run_lgt(*command)
    assert done.exit_code == 1, done.stderr
    assert "memory://bucket/photos/bad.jpg: not an image" in done.stderr
    assert "memory://bucket/out/a_paint.png: 96 x 64" in done.stdout
    assert names(store, "/bucket/out") == ["a_paint.png", "trip/b_paint.png"]
    made = read_provenance(io.BytesIO(store.cat_file("/bucket/out/a_paint.png")))
    assert made is not None and made.input is not None and made.input.name == "a.png"
    again = toys.run_lgt(*command, "--json")
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    assert [row.get("skipped") for row in rows if "error" not in row] == [True, True]
    assert rows[0]["input"] == "memory://bucket/photos/a.png"
    store.pipe_file("/bucket/photos/a.png", png(7))
    changed = toys.run_lgt(*command)
    assert "1 written, 1 already there" in changed.stdout
    assert not [path for path in Path().iterdir() if path.name != "toy.pt"]


def test_stores_and_folders_go_together(store: Any, fixed: tuple[object, ...]) -> None:
    found = fill(store)
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(found["a.png"])
    assert toys.run_lgt("transfer", "photos", "memory://bucket/up/", *fixed).exit_code == 0
    assert toys.run_lgt("transfer", "memory://bucket/photos", "down/", *fixed).exit_code == 1
    down = Path("down/a_paint.png").read_bytes()
    assert down == store.cat_file("/bucket/up/a_paint.png")
    for wrong, said in (
        (("photos/a.png", "memory://bucket/a.png"), "only folders of photos"),
        (("memory://bucket/photos", "memory://bucket/photos"), "is the folder of the photos"),
        (("memory://bucket/none", "out"), "no file directly below it"),
    ):
        refused = toys.run_lgt("transfer", *wrong, *fixed)
        assert refused.exit_code == 2 and said in refused.stderr, refused.stderr


def in_this_process(rows: Any, stages: Stages, spread: Spread, *, block: int = 8) -> Iterator[Any]:
    """Do what Ray does; all that goes from stage to stage can be pickled."""
    stages = pickle.loads(pickle.dumps(stages))
    read = [pickle.dumps(stages.read(row)) for row in rows]
    for row in stages.make()([pickle.loads(row) for row in read]):
        yield pickle.loads(pickle.dumps(stages.write(pickle.loads(pickle.dumps(row)))))


def test_so_do_processes_of_ray(
    store: Any, fixed: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    monkeypatch.setattr(lgt.batch.spread, "through", in_this_process)
    command = ("transfer", "memory://bucket/photos", "memory://bucket/ray/", *fixed, "--recursive")
    assert toys.run_lgt(*command, "--engine", "ray").exit_code == 1
    assert names(store, "/bucket/ray") == ["a_paint.png", "trip/b_paint.png"]
    assert toys.run_lgt(*command[:2], "memory://bucket/own/", *command[3:]).exit_code == 1
    for name in names(store, "/bucket/ray"):
        assert store.cat_file(f"/bucket/ray/{name}") == store.cat_file(f"/bucket/own/{name}")


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_store_is_preprocessed_as_a_folder_is(
    engine: str, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lgt.data.encode, "through", in_this_process)
    spread = Spread() if engine == "ray" else None
    for style in ("ink", "photo"):
        for number in range(3):
            data = png(number + 10 * (style == "ink"))
            store.pipe_file(f"/bucket/raw/{style}/{number}.png", data)
            Path(f"raw/{style}").mkdir(parents=True, exist_ok=True)
            Path(f"raw/{style}/{number}.png").write_bytes(data)
    store.pipe_file("/bucket/raw/readme.png", png(0))
    given: dict[str, Any] = {"target_size": 32, "codec": "embedded", "spread": spread}
    there = preprocess_folder(Path("memory://bucket/raw"), "stored", **given)
    here = preprocess_folder("raw", "local", **given)
    assert sorted(there.written) == sorted(here.written) and len(there.written) == 6
    for name in there.written:
        assert Path("stored", name).read_bytes() == Path("local", name).read_bytes()
    assert len(preprocess_folder(Path("memory://bucket/raw"), "stored", **given).skipped) == 6

    def broken(address: str) -> bytes:
        raise StorageError(f"{address}: the store does not answer")

    with monkeypatch.context() as patch:  # What was made of pictures must not be deleted for it.
        patch.setattr(lgt.data.pictures, "read_stored", broken)
        with pytest.raises(StorageError, match="does not answer"):
            preprocess_folder(Path("memory://bucket/raw"), "stored", **given)
    assert all(Path("stored", name).exists() for name in there.written)
    store.pipe_file("/bucket/raw/ink/0.png", b"no picture any more")
    assert preprocess_folder(Path("memory://bucket/raw"), "stored", **given).removed == ["ink/0.pt"]


def test_a_store_without_styles_is_refused(store: Any) -> None:
    fill(store)
    store.rm("/bucket/photos/trip", recursive=True)
    refused = toys.run_lgt(
        *("preprocess", "--raw_data_root", "memory://bucket/photos", "--output_root", "latents"),
        *("--target_size", "64"),
    )
    assert refused.exit_code == 2 and "has no style folder with images" in refused.stderr


def test_where_a_store_tells_no_time_the_hash_decides(
    store: Any, fixed: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(self: Any, path: str) -> Any:
        raise NotImplementedError

    monkeypatch.setattr(type(store), "modified", untold)
    store.pipe_file("/bucket/photos/a.png", png(0))
    assert stored_at("memory://bucket/photos/a.png") is None
    command = ("transfer", "memory://bucket/photos", "memory://bucket/out", *fixed)
    for data, said in ((png(0), "1 written, 0 "), (png(0), "0 written, 1 "), (png(1), "1 written")):
        store.pipe_file("/bucket/photos/a.png", data)
        assert said in toys.run_lgt(*command).stdout


def test_a_store_with_folders_gets_whole_files(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FTP has them: who is interrupted leaves no part of a file, and the old one."""
    monkeypatch.setattr(lgt.stores, "_OBJECTS", set())
    write_stored("memory://bucket/new/deep/a.txt", b"one")
    assert store.cat_file("/bucket/new/deep/a.txt") == b"one"
    pipe = type(store).pipe_file

    def interrupted(self: Any, path: str, data: bytes) -> None:
        pipe(self, path, data[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "pipe_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_stored("memory://bucket/new/deep/a.txt", b"two")
    assert store.cat_file("/bucket/new/deep/a.txt") == b"one"
    assert names(store, "/bucket/new") == ["deep/a.txt"]


def test_what_a_killed_writer_left_is_deleted(
    store: Any, fixed: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On file servers; what another machine's writer may still be writing stays."""
    monkeypatch.setattr(lgt.stores, "_OBJECTS", set())
    store.pipe_file("/bucket/photos/a.png", png(0))
    mine, others = temporary_name("a.png"), ".lgt-a.png-00000000-1-0123abcd.tmp"
    dead = mine.replace(f"-{os.getpid()}-", "-4194305-")  # No system counts that far.
    for name in (mine, others, dead):
        store.pipe_file(f"/bucket/out/{name}", b"part")
    painted = toys.run_lgt("transfer", "memory://bucket/photos", "memory://bucket/out", *fixed)
    assert painted.exit_code == 0, painted.stderr
    assert names(store, "/bucket/out") == sorted([mine, others, "a_paint.png"])
    remove_stale_stored("memory://bucket/out", older_than=-1)
    assert names(store, "/bucket/out") == ["a_paint.png"]


def test_a_bucket_that_is_not_there_is_said(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise FileNotFoundError("The specified bucket does not exist")  # As s3fs says it.

    monkeypatch.setattr(type(store), "pipe_file", refused)
    with pytest.raises(StorageError, match=r"painted/a\.png: could not .* no bucket 'bucket'"):
        write_stored("memory://bucket/painted/a.png", b"data")


def test_passwords_are_not_printed() -> None:
    path = Path("ftp://ann:s3cret@127.0.0.1:1/photos/a@b.png")
    assert shown(path) == "ftp://ann:***@127.0.0.1:1/photos/a@b.png"
    assert shown(Path("ftp://ann:s3@cret@host/a@b")) == "ftp://ann:***@host/a@b"
    assert shown(Path("sftp://ann@host:22/a@b")) == "sftp://ann@host:22/a@b"
    with pytest.raises(StorageError, match=r"^ftp://ann:\*\*\*@127\.0\.0\.1:1/photos: ") as refused:
        names_in("ftp://ann:s3cret@127.0.0.1:1/photos", recursive=False)
    assert "s3cret" not in str(refused.value)
    for command in (["transfer", str(path.parent)], ["preprocess", "--raw_data_root", str(path)]):
        out = (
            ["painted", "--style", "monet"] if command[0] == "transfer" else ["--output_root", "l"]
        )
        run = toys.run_lgt(*command, *out)
        assert run.exit_code and "ann:***@" in run.output and "s3cret" not in run.output


def test_a_store_that_does_not_answer_is_said() -> None:
    with pytest.raises(StorageError, match=r"^ftp://127\.0\.0\.1:1/photos: .*refused"):
        names_in("ftp://127.0.0.1:1/photos", recursive=False)

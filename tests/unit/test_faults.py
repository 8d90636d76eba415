"""Faults of the world: clocks set back, processes killed, links that may not be followed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from limits import HANG
from PIL import Image
from toys import config, run_lgt, trainer, write_model

import lgt.files
from lgt.batch import find_photos
from lgt.files import atomic_write, is_file, real_path, remove_stale_temporaries
from lgt.image import save_image, visible_files
from lgt.report.history import read_history
from lgt.report.record import SessionRecord, next_number
from lgt.train import Checkpoint

WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from lgt.files import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""


def session(folder: Path, stamp: str, steps: range, number: int = 0) -> None:
    path = folder / "logs" / f"training_20310101_{stamp}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("epoch,step,total\n" + "".join(f"{s / 10},{s},{s}\n" for s in steps))
    record = SessionRecord(first_step=steps.start - 10, number=number)
    record.save(path.with_suffix(".json"))


@pytest.mark.parametrize("numbers", [(0, 0, 0), (1, 2, 3)])
def test_a_clock_that_is_set_back_loses_no_epoch(numbers: tuple[int, ...], tmp_path: Path) -> None:
    session(tmp_path, "120000", range(10, 70, 10), numbers[0])
    session(tmp_path, "110000", range(70, 310, 10), numbers[1])
    assert [row["step"] for row in read_history(tmp_path).rows] == list(range(10, 310, 10))
    session(tmp_path, "100000", range(310, 330, 10), numbers[2])
    assert [row["step"] for row in read_history(tmp_path).rows] == list(range(10, 330, 10))


def test_a_branch_counts_by_its_number_whatever_the_clock_says(tmp_path: Path) -> None:
    session(tmp_path, "120000", range(10, 70, 10), next_number(tmp_path / "logs"))
    session(tmp_path, "110000", range(30, 50, 10), next_number(tmp_path / "logs"))
    history = read_history(tmp_path)
    assert [row["step"] for row in history.rows] == [10, 20, 30, 40]
    assert [s.record.number for s in history.sessions if s.record is not None] == [1, 2]


def test_a_killed_writer_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_AND_DIE, str(tmp_path / "a.txt")]
    assert subprocess.run(command, timeout=HANG).returncode == 9
    (left,) = tmp_path.iterdir()
    with atomic_write(tmp_path / "b.txt") as mine:  # Ours is at work.
        mine.write_text("whole")
        if os.name != "nt":
            assert remove_stale_temporaries(tmp_path) == 1 and not left.exists()
    assert (tmp_path / "b.txt").read_text() == "whole"


def test_files_that_tell_no_writer_of_this_machine_go_by_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (".lgt-a-0123abcd.tmp", ".lgt-b-00000000-1-0123abcd.tmp", ".lgt-c-1-0123abcd.tmp")
    for name in names:
        (tmp_path / name).write_text("")
        assert not lgt.files.is_orphan(name)
    assert remove_stale_temporaries(tmp_path) == 0
    for name in names:
        os.utime(tmp_path / name, (time.time() - 61,) * 2)
    assert remove_stale_temporaries(tmp_path) == 3


def test_a_transfer_clears_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(Path("m.pt"), config())
    save_image(Image.new("RGB", (16, 16), "teal"), Path("in.png"))
    command = [sys.executable, "-c", WRITE_AND_DIE, "out.png"]
    assert subprocess.run(command, timeout=HANG).returncode == 9
    result = run_lgt("transfer", "in.png", "out.png", "--style", "0", "--model", "m.pt")
    assert result.exit_code == 0, result.output
    if os.name != "nt":
        assert sorted(p.name for p in Path().iterdir()) == ["in.png", "m.pt", "out.png"]


def test_a_photo_of_the_future_is_painted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(Path("m.pt"), config())
    photo = Path("photos/a.png")
    photo.parent.mkdir()
    save_image(Image.new("RGB", (16, 16), "teal"), photo)
    os.utime(photo, (time.time() + 1e7,) * 2)
    command = ("transfer", "photos", "out", "--style", "0", "--model", "m.pt")
    assert "1 written, 0 already there" in run_lgt(*command).output
    assert "0 written, 1 already there" in run_lgt(*command).output
    save_image(Image.new("RGB", (16, 16), "red"), photo)
    os.utime(photo, (1e9, 1e9))  # Another photo under the name of an old one.
    assert "1 written, 0 already there" in run_lgt(*command).output


def test_a_link_that_may_not_be_followed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.png", "2.png"):
        save_image(Image.new("RGB", (16, 16), "teal"), tmp_path / name)
    (tmp_path / "1b.png").symlink_to("/nowhere/x.png")
    usual = os.path.realpath

    def refusing(path: Any, **options: Any) -> Any:
        if str(path).endswith("1b.png"):
            raise PermissionError(13, "Permission denied", "/proc/1/cwd")
        return usual(path, **options)

    monkeypatch.setattr(os.path, "realpath", refusing)
    assert real_path(tmp_path / "1b.png") == tmp_path / "1b.png"
    assert len(visible_files(tmp_path)) == 3
    photos = find_photos([tmp_path], without=tmp_path / "out")
    assert [photo.name for photo in photos] == ["1.png", "1b.png", "2.png"]
    assert not is_file(Path("x" * 5000))


def test_a_sheet_that_a_kill_took_is_drawn_on_the_way_on(tmp_path: Path) -> None:
    changes = {"checkpoint.save_dir": str(tmp_path), "checkpoint.num_samples": 1}
    trainer(config(changes)).run()
    sheet = tmp_path / "samples" / "epoch_0002.png"
    content = sheet.read_bytes()
    sheet.unlink()
    start = Checkpoint.load(tmp_path / "epoch_0002.pt")
    changes |= {"training.num_epochs": 3}
    trainer(config(changes), checkpoint=start).run()
    assert sheet.read_bytes() == content
    assert [epoch for epoch, _ in read_history(tmp_path).sheets()] == [1, 2, 3]


@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_what_takes_long_to_make_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    usual_sync, usual_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        events.append("sync")
        usual_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return usual_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_model(tmp_path / "m.pt", config())
    assert events[:3] == ["sync", "replace", "sync"]

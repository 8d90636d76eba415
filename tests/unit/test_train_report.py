"""The story of a run from its logs, and the page that shows it."""

from __future__ import annotations

import csv
import json
import math
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from toys import run_lgt

from lgt.config import Config, config_to_dict
from lgt.errors import InputError
from lgt.report.history import read_history
from lgt.report.page import page, plain_table
from lgt.report.record import SessionRecord, describe_machine
from lgt.report.run_page import MAX_SHEETS, STYLES_NOTE, run_page, write_report

COLUMNS = ("epoch", "step", "images", "total", "critic", "learning_rate", "seconds")
NASTY = "<script>alert('x')</script> & \"quoted\""


def write_session(
    folder: Path,
    stamp: str,
    steps: list[int],
    record: SessionRecord | None = None,
    columns: tuple[str, ...] = COLUMNS,
    **given: float,
) -> Path:
    """Write the files of a session with 10 steps an epoch."""
    path = folder / "logs" / f"training_20310101_{stamp}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for step in steps:
            values = dict.fromkeys(columns, 0.5) | {"epoch": step / 10, "images": step} | given
            writer.writerow({name: (values | {"step": step})[name] for name in columns})
    if record is not None:
        record.save(path.with_suffix(".json"))
    return path


def checkpoint(step: int, sheet: str | None = None) -> dict[str, object]:
    return {"step": step, "epoch": step // 10, "file": f"epoch_{step // 10:04d}.pt", "sheet": sheet}


def add_sheet(folder: Path, name: str, colour: str = "teal") -> str:
    (folder / "samples").mkdir(exist_ok=True)
    Image.new("RGB", (40, 20), colour).save(folder / "samples" / name)
    return name


class Reader(HTMLParser):
    """Collects tags and the addresses in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(v) for k, v in attrs if k in {"src", "href", "srcset", "action"}]


def test_a_resumed_run_tells_no_step_twice(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10, 20, 30], SessionRecord(total_steps=60), total=1)
    write_session(tmp_path, "010000", [30, 40], SessionRecord(first_step=20), total=2)
    write_session(tmp_path, "020000", [50], SessionRecord(first_step=44), total=3)
    history = read_history(tmp_path)
    told = [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 3.0)]
    assert history.series("total") == told
    assert len(history.sessions) == 3 and history.problems == []


def test_a_run_that_starts_over_forgets_the_old_one(tmp_path: Path) -> None:
    old = SessionRecord(checkpoints=[checkpoint(10, add_sheet(tmp_path, "epoch_0001.png"))])
    write_session(tmp_path, "000000", [10, 20], old)
    assert len(read_history(tmp_path).sheets()) == 1
    write_session(tmp_path, "010000", [20], SessionRecord(first_step=0))
    history = read_history(tmp_path)
    assert [row["step"] for row in history.rows] == [20]
    assert history.sheets() == []


def test_a_session_without_trace_changes_nothing(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10, 20], SessionRecord())
    write_session(tmp_path, "010000", [], SessionRecord(first_step=10))
    assert [row["step"] for row in read_history(tmp_path).rows] == [10, 20]
    ended = {"step": 13, "how": "interrupted", "text": ""}
    write_session(tmp_path, "010000", [], SessionRecord(first_step=10, ended=ended))
    assert [row["step"] for row in read_history(tmp_path).rows] == [10]


def test_logs_without_record_are_read(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10, 20, 30])
    write_session(tmp_path, "010000", [30, 40])
    add_sheet(tmp_path, "epoch_0004.png")
    add_sheet(tmp_path, "epoch_0099.png")
    history = read_history(tmp_path)
    assert [row["step"] for row in history.rows] == [10, 20, 30, 40]
    assert history.sheets() == [(4, tmp_path / "samples" / "epoch_0004.png")]
    assert "no record of this session" in run_page(history)


def test_columns_that_come_later_are_drawn(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10], SessionRecord(), columns=("epoch", "step", "images"))
    write_session(tmp_path, "010000", [20, 30], SessionRecord(first_step=10), critic=7.25)
    history = read_history(tmp_path)
    assert math.isnan(history.rows[0]["critic"])
    assert history.series("critic") == [(20, 7.25), (30, 7.25)]
    assert "7.25 at step 30" in run_page(history)


def test_damage_is_told_and_left_out(tmp_path: Path) -> None:
    path = write_session(tmp_path, "000000", [10, 20], SessionRecord())
    with path.open("a") as file:
        file.write("3,x,30,1,1,1,1\n4,40,40,0.5")
    path.with_suffix(".json").write_text("{")
    (tmp_path / "logs" / "training_20310101_030000.csv").write_text("a,b\n1,2\n")
    history = read_history(tmp_path)
    assert [row["step"] for row in history.rows] == [10, 20]
    assert len(history.problems) == 3
    assert "2 row(s) left out" in "".join(history.problems)
    assert "2 row(s) left out" in run_page(history)


@pytest.mark.parametrize("content", ['{"checkpoints": 3}', "[]", '{"first_step": "a"}'])
def test_a_record_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ValueError, match=r"is|not"):
        SessionRecord.load(tmp_path / "r.json")


def test_the_page_needs_nothing_from_elsewhere_and_escapes_texts(tmp_path: Path) -> None:
    config = config_to_dict(Config())
    config["data"]["style_subdirs"] = [NASTY, "b"]
    record = SessionRecord(
        started="2031-01-01T00:00:00",
        total_steps=100,
        styles={NASTY: 3},
        latent_shape=[4, 8, 8],
        config=config,
        machine={"processor": NASTY},
        checkpoints=[checkpoint(20, add_sheet(tmp_path, "epoch_0002.png"))],
        warnings=[{"step": 10, "text": NASTY}],
        ended={"step": 20, "how": "failed", "text": NASTY},
    )
    columns = (*COLUMNS, "<i>term")
    write_session(tmp_path, "000000", [10, 20], record, columns=columns)
    text = run_page(read_history(tmp_path), now=datetime(2031, 1, 1))
    reader = Reader(text)
    assert reader.tags.count("script") == 1, "the page's own"
    assert "i" not in reader.tags and "&lt;i&gt;term" in text
    assert len(reader.addresses) == 1
    assert all(a.startswith("data:image/jpeg;base64,") for a in reader.addresses)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    assert reader.tags.count("svg") == 5  # total, critic, the odd one; rate, seconds
    assert "20 of 100 steps, 2 epochs" in text
    assert "written 2031-01-01 00:00:00" in text


def test_the_page_says_what_changed_and_what_is_zero(tmp_path: Path) -> None:
    first, second = config_to_dict(Config()), config_to_dict(Config())
    second["training"]["batch_size"] = 5
    write_session(tmp_path, "000000", [10], SessionRecord(config=first), critic=0)
    record = SessionRecord(config=second, first_step=10, num_processes=2)
    write_session(tmp_path, "010000", [20], record, critic=0)
    text = run_page(read_history(tmp_path))
    assert "training.batch_size 16 → 5" in text
    assert "<td>training.batch_size</td><td>5</td><td>16</td>" in text
    assert "Zero throughout: critic." in text
    assert text.count("class='mark'") > 0, "where the run was resumed"


def test_many_sheets_are_thinned(tmp_path: Path) -> None:
    steps = list(range(10, 310, 10))
    sheets = [add_sheet(tmp_path, f"epoch_{step // 10:04d}.png") for step in steps]
    made = [checkpoint(step, sheet) for step, sheet in zip(steps, sheets, strict=True)]
    write_session(tmp_path, "000000", steps, SessionRecord(checkpoints=made))
    text = run_page(read_history(tmp_path))
    assert text.count("<img") == MAX_SHEETS
    assert f"{MAX_SHEETS} of 30 contact sheets" in text
    assert "<b>epoch 1</b>" in text and "<b>epoch 30</b>" in text


def test_sheets_outside_the_folder_and_broken_ones_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "epoch_0002.png").write_text("no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    made = [checkpoint(10, "../secret.png"), checkpoint(20, "epoch_0002.png")]
    write_session(tmp_path, "000000", [10, 20], SessionRecord(checkpoints=made))
    text = run_page(read_history(tmp_path))
    assert "<img" not in text and "epoch_0002.png can not be read" in text


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10], SessionRecord())
    result = run_lgt("report", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "report.html")
    other = tmp_path / "new" / "page.html"
    assert run_lgt("report", tmp_path, "--out", other).exit_code == 0
    assert other.read_text().startswith("<!doctype html>")
    for folder, said in ((tmp_path / "none", "no such folder"), (tmp_path / "new", "no log")):
        wrong = run_lgt("report", folder)
        assert wrong.exit_code == 2 and said in wrong.stderr


def test_a_page_that_can_not_be_written_is_an_input_error(tmp_path: Path) -> None:
    write_session(tmp_path, "000000", [10], SessionRecord())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can not be written"):
        write_report(tmp_path, tmp_path / "file" / "page.html")


def test_parts_of_a_page_are_escaped() -> None:
    assert "&lt;b&gt;" in plain_table(["<b>"], [["<b>"]])
    assert "<title>a &amp; b</title>" in page("a & b", [])


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    machine = describe_machine("cpu")
    assert {"processor", "threads", "memory", "torch"} <= set(machine)
    assert platform.node() not in json.dumps({k: v for k, v in machine.items() if k != "system"})


def test_the_report_draws_them_apart_from_energies(tmp_path: Path) -> None:
    columns = (*COLUMNS[:4], "distance_ink & wash", *COLUMNS[4:])
    write_session(tmp_path, "000000", [10, 20], columns=columns)
    text = run_page(read_history(tmp_path))
    energies, styles = text.split("<h2>Styles</h2>")
    assert STYLES_NOTE in styles
    assert "<figcaption>ink &amp; wash<" in styles.split("<h2>Optimisation</h2>")[0]
    assert "ink &amp; wash" not in energies
    write_session(tmp_path / "plain", "000000", [10, 20])
    assert "<h2>Styles</h2>" not in run_page(read_history(tmp_path / "plain"))

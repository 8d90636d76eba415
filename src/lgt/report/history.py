"""The story of a run, put together from the logs of its sessions.

A run that was interrupted and resumed has one CSV file (and one JSON file, `record.py`) a session.
Later sessions replace what earlier ones did after the step at which they began, as the weights did,
so no step is told twice.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lgt.errors import InputError
from lgt.report.record import SessionRecord

Row = dict[str, float]


@dataclass
class Session:
    """The files of one session."""

    path: Path
    """The CSV file."""
    rows: list[Row]
    record: SessionRecord | None
    """None if the JSON file is missing or damaged."""

    @property
    def first_step(self) -> int | None:
        """Steps done before it, or None if it left no trace in the run."""
        if self.record is not None and (self.rows or self.record.ended or self.record.checkpoints):
            return self.record.first_step
        return int(self.rows[0]["step"]) - 1 if self.rows else None

    @property
    def last_step(self) -> int:
        """The last step that it tells of."""
        steps = [int(row["step"]) for row in self.rows]
        if self.record is not None:
            entries = [*self.record.checkpoints, self.record.ended]
            told = [entry.get("step") for entry in entries if isinstance(entry, dict)]
            steps += [step for step in told if isinstance(step, int)]
        return max(steps, default=0)


@dataclass
class History:
    """A run without its abandoned branches."""

    folder: Path
    columns: list[str] = field(default_factory=list)
    """Columns of all logs, in their order."""
    rows: list[Row] = field(default_factory=list)
    """By rising step; a column that a log did not have is nan."""
    sessions: list[Session] = field(default_factory=list)
    """Sessions that left a trace, in the order of time."""
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    """As in `SessionRecord`, by rising step."""
    warnings: list[tuple[int, str]] = field(default_factory=list)
    """Step and text of what the sessions warned of."""
    problems: list[str] = field(default_factory=list)
    """What could not be read."""

    @property
    def record(self) -> SessionRecord:
        """The record of the last session that has one; an empty one if there is none."""
        records = [session.record for session in self.sessions if session.record is not None]
        return records[-1] if records else SessionRecord()

    def series(self, column: str) -> list[tuple[float, float]]:
        """Return (step, value) of a column where it has a finite value."""
        pairs = [(row["step"], row[column]) for row in self.rows]
        return [(step, value) for step, value in pairs if math.isfinite(value)]

    def sheets(self) -> list[tuple[int, Path]]:
        """Return (epoch, file) of the contact sheets that exist, oldest first."""
        folder = self.folder / "samples"
        found = []
        for entry in self.checkpoints:
            name = entry.get("sheet")
            if isinstance(name, str) and Path(name).name == name and (folder / name).is_file():
                found.append((int(entry["epoch"]), folder / name))
        return found


def read_history(folder: Path) -> History:
    """Read the logs of a folder of checkpoints.

    Raises:
        InputError: There is no such folder, or no log in it.
    """
    if not folder.is_dir():
        raise InputError(
            f"no such folder: {folder} (working directory: {Path.cwd()}); give the "
            "checkpoint.save_dir of a run"
        )
    paths = sorted((folder / "logs").glob("training_*.csv"))
    if not paths:
        raise InputError(
            f"{folder}: no log of a training (logs/training_*.csv); give the checkpoint.save_dir "
            "of a run of `lgt train`"
        )
    history = History(folder)
    for session, columns in _in_order([_read_session(path, history.problems) for path in paths]):
        _add(history, session, columns)
    for row in history.rows:
        for column in history.columns:
            row.setdefault(column, math.nan)
    return history


def _read_session(path: Path, problems: list[str]) -> tuple[Session, list[str]]:
    """Return a session and the columns of its log."""
    columns, rows = _read_rows(path, problems)
    return Session(path, rows, _read_record(path.with_suffix(".json"), problems)), columns


def _in_order(found: list[tuple[Session, list[str]]]) -> list[tuple[Session, list[str]]]:
    """Return sessions in the order in which they ran.

    That is the order of their numbers, and of the times in their names; but a clock may have been
    set back, so none comes before another one has reached the step that it goes on from.
    """
    waiting = sorted(found, key=lambda item: 0 if item[0].record is None else item[0].record.number)
    ordered, reached = [], 0
    while waiting:
        able = (item for item in waiting if (item[0].first_step or 0) <= reached)
        item = next(able, waiting[0])
        waiting.remove(item)
        ordered.append(item)
        reached = max(reached, item[0].last_step)
    return ordered


def _add(history: History, session: Session, columns: list[str]) -> None:
    rows = session.rows
    begin, record = session.first_step, session.record
    if begin is None:
        return
    history.sessions.append(session)
    history.columns += [name for name in columns if name not in history.columns]
    history.rows = [row for row in history.rows if row["step"] <= begin]
    history.checkpoints = [c for c in history.checkpoints if c["step"] <= begin]
    for row in rows:  # Two sessions of one second share a file.
        history.rows = [known for known in history.rows if known["step"] < row["step"]]
        history.rows.append(row)
    if record is None:
        history.checkpoints += _guess_checkpoints(history.folder, rows)
        return
    for entry in record.checkpoints:
        if isinstance(entry, dict) and {"step", "epoch"} <= set(entry):
            earlier = [c for c in history.checkpoints if c["step"] < entry["step"]]
            history.checkpoints = [*earlier, entry]
    for warning in record.warnings:
        if isinstance(warning, dict):
            history.warnings.append((int(warning.get("step", 0)), str(warning.get("text", ""))))


def _guess_checkpoints(folder: Path, rows: list[Row]) -> list[dict[str, Any]]:
    """Return the contact sheets of a session without record by the epochs in their names."""
    found = []
    for row in rows:
        name = f"epoch_{int(row['epoch']):04d}.png"
        if (folder / "samples" / name).is_file():
            found.append({"step": int(row["step"]), "epoch": int(row["epoch"]), "sheet": name})
    return found


def _read_record(path: Path, problems: list[str]) -> SessionRecord | None:
    try:
        return SessionRecord.load(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problems.append(f"{path.name} can not be read ({error})")
        return None


def _read_rows(path: Path, problems: list[str]) -> tuple[list[str], list[Row]]:
    """Return the columns and the complete rows of a CSV file; the rest is told in `problems`."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        problems.append(f"{path.name} can not be read ({error})")
        return [], []
    whole = text[: text.rfind("\n") + 1]  # A killed process may leave a part of a row.
    reader = csv.DictReader(whole.splitlines())
    columns = [name for name in reader.fieldnames or [] if name]
    if not {"step", "epoch"} <= set(columns):
        problems.append(f"{path.name} is not a log of a training (no columns step and epoch)")
        return [], []
    rows, bad = [], int(whole != text)
    for cells in reader:
        try:
            row = {name: float(cells[name]) for name in columns}
        except (TypeError, ValueError):
            bad += 1
            continue
        if math.isfinite(row["step"]) and math.isfinite(row["epoch"]):
            rows.append(row)
        else:
            bad += 1
    if bad:
        problems.append(f"{path.name}: {bad} row(s) left out, they are not complete")
    return columns, rows

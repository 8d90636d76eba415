"""The report of a run: one HTML file in the folder of its checkpoints."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.config import Config, config_to_dict
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.report import charts
from lgt.report.history import History, read_history
from lgt.report.log import DISTANCE
from lgt.report.page import page, paragraph, picture_url, plain_table

FILE = "report.html"
MAX_SHEETS = 12
"""Contact sheets inside the page, at equal steps, with the first and the last."""
MAX_WIDTH = 1600
"""Wider contact sheets are reduced to it, in pixels."""
COUNTS = ("epoch", "step", "images")
MEASURES = {
    "id_swap_distance": "id-swap distance",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "seconds": "seconds per step",
}
"""Columns that are no energies, with their headings; every other column is one."""
STYLES_NOTE = (
    "How far the outputs of each style are from its works, by what the energy looks with: 1 is "
    "where the photos are, 0 where the works are. One that stays high may need more steps "
    "(training.target_shares), less of the photo (loss.content_by_style), or better works."
)

STYLE = (
    charts.STYLE
    + """
h2 { margin-top: 2.2rem; }
.lead { font-size: 1.05rem; }
ul.warnings { padding: .8rem 1rem .8rem 2rem; background: var(--bad); color: var(--bad-ink);
  border-radius: 8px; overflow-wrap: anywhere; }
.facts th, .facts td { text-align: left; vertical-align: top; }
.facts td { min-width: 4rem; overflow-wrap: anywhere; }
.facts td:first-child { white-space: nowrap; }
.wide td { min-width: 9rem; }
.sheet { margin-bottom: 1rem; }
.sheet img { display: block; margin-top: .5rem; max-width: max(100%, 44rem); }
#when { width: min(100%, 32rem); accent-color: var(--accent); }
details { margin: 1rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; padding: .8rem; background: var(--card); border: 1px solid var(--line); }
"""
)

SCRIPT = (
    charts.SCRIPT
    + """
const sheets = [...document.querySelectorAll('.sheet')], when = document.getElementById('when');
if (when && sheets.length > 1) {
  const show = () => sheets.forEach((sheet, i) => { sheet.hidden = i !== +when.value; });
  when.addEventListener('input', show);
  when.max = when.value = sheets.length - 1;
  document.getElementById('choose').hidden = false;
  show();
}
"""
)


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the run in a folder of checkpoints; return the file.

    Args:
        folder: `checkpoint.save_dir` of the run.
        out: The file; None writes `report.html` in the folder.

    Raises:
        InputError: The folder holds no log, or the file can not be written.
    """
    text = run_page(read_history(folder))
    path = folder / FILE if out is None else out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: can not be written ({error.strerror or error}); name another file with --out"
        ) from error
    return path


def run_page(history: History, now: datetime | None = None) -> str:
    """Return the page of a run."""
    written = (now or datetime.now()).isoformat(sep=" ", timespec="seconds")
    parts = [f"<p class='lead'>{html.escape(_state(history))}</p>"]
    parts += _warnings(history)
    parts += _pictures(history)
    parts += _curves(history)
    parts += _sessions(history)
    parts += _facts("Data", _data(history))
    parts += _facts("Machine", history.record.machine)
    parts += _configuration(history)
    parts += _numbers(history)
    parts.append(f"<p><small>written {html.escape(written)}</small></p>")
    return page("Training run", parts, style=STYLE, script=SCRIPT)


def _state(history: History) -> str:
    """Say how far the run is and how it ended."""
    record = history.record
    done = max([int(row["step"]) for row in history.rows[-1:]] + [_end_step(history)])
    sentence = (
        f"{done:,} of {record.total_steps:,} steps" if record.total_steps else f"{done:,} steps"
    )
    if history.rows:
        last = history.rows[-1]
        epochs = f"{last['epoch']:,.0f} epoch{'' if last['epoch'] == 1 else 's'}"
        images = last.get("images", float("nan"))
        sentence += f", {epochs}" + (f", {images:,.0f} images" if images == images else "")
    spent = _seconds(history)
    sentence += f"; {_duration(spent)} of training steps"
    if record.ended is None:
        pace = history.series("seconds")[-1:]
        left = (record.total_steps - done) * pace[0][1] if pace else 0.0
        if record.total_steps:
            sentence += f". No end is noted: about {_duration(left)} are left if it still runs"
        return f"{sentence}."
    how = str(record.ended.get("how", ""))
    text = str(record.ended.get("text", ""))
    return f"{sentence}. The run is {how}{': ' + text if text else ''}."


def _end_step(history: History) -> int:
    ended = history.record.ended
    return int(ended.get("step", 0)) if ended else 0


def _seconds(history: History) -> float:
    """Return the time of all steps that count: mean seconds per step x steps of the row."""
    total, before = 0.0, 0.0
    for row in history.rows:
        seconds = row.get("seconds", 0.0)
        if seconds == seconds:
            total += seconds * (row["step"] - before)
        before = row["step"]
    return total


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds >= 10 else f"{seconds:.1f} s"


def _warnings(history: History) -> list[str]:
    lines = [f"step {step:,}: {text}" for step, text in history.warnings]
    lines += history.problems
    items = "".join(f"<li>{html.escape(line)}</li>" for line in dict.fromkeys(lines))
    if not items:
        return ["<h2>Warnings</h2><p>None.</p>"]
    return [f"<h2>Warnings</h2><ul class='warnings'>{items}</ul>"]


def _pictures(history: History) -> list[str]:
    sheets = history.sheets()
    if not sheets:
        return []
    count = min(MAX_SHEETS, len(sheets))
    chosen = [sheets[i * (len(sheets) - 1) // max(1, count - 1)] for i in range(count)]
    parts = ["<h2>Pictures over time</h2>"]
    if count < len(sheets):
        parts.append(paragraph(f"{count} of {len(sheets)} contact sheets, the newest last."))
    parts.append(
        "<p id='choose' hidden><label>older to newer<br><input id='when' type='range' min='0' "
        "step='1'></label></p>"
    )
    for epoch, path in chosen:
        try:
            with Image.open(path) as image:
                image.thumbnail((MAX_WIDTH, 16 * MAX_WIDTH), Image.Resampling.LANCZOS)
                url = picture_url(image, quality=85)
        except (OSError, ValueError) as error:
            parts.append(paragraph(f"{path.name} can not be read ({error})"))
            continue
        title = f"epoch {epoch:,}"
        parts.append(
            f"<div class='sheet'><b>{title}</b><img alt='contact sheet of {title}' src='{url}'>"
            "</div>"
        )
    return parts


def _curves(history: History) -> list[str]:
    loss, training = (history.record.config.get(key, {}) for key in ("loss", "training"))
    marks = [float(session.first_step) for session in history.sessions[1:] if session.first_step]
    styles = [name for name in history.columns if name.startswith(DISTANCE)]
    terms = [name for name in history.columns if name not in {*COUNTS, *MEASURES, *styles}]
    idle = [name for name in terms if not any(value for _, value in history.series(name))]
    levels = {
        "id_swap_distance": (
            "collapse",
            history.record.collapse_limit or training.get("collapse_threshold", 0),
        ),
        "gradient_norm": ("clipped", training.get("grad_clip_norm", 0)),
    }
    parts = ["<h2>Energies</h2><div class='charts'>"]
    parts += [
        charts.chart(_heading(name, loss), history.series(name), marks=marks)
        for name in terms
        if name not in idle
    ]
    parts.append("</div>")
    if idle:
        parts.append(paragraph(f"Zero throughout: {', '.join(idle)}."))
    if styles:
        parts.append("<h2>Styles</h2>")
        parts.append(paragraph(STYLES_NOTE))
        parts.append("<div class='charts'>")
        parts += [
            charts.chart(name.removeprefix(DISTANCE), history.series(name), marks=marks)
            for name in styles
        ]
        parts.append("</div>")
    parts.append("<h2>Optimisation</h2><div class='charts'>")
    for name, heading in MEASURES.items():
        if name in history.columns:
            level = levels.get(name)
            parts.append(
                charts.chart(
                    heading,
                    history.series(name),
                    marks=marks,
                    level=level if level and level[1] else None,
                )
            )
    parts.append("</div>")
    note = "Means over each epoch, by step; the id-swap distance is measured at its end."
    if marks:
        note += " Dotted lines: the run was resumed."
    return [*parts, paragraph(note)]


def _heading(name: str, loss: Mapping[str, Any]) -> str:
    weight = loss.get(f"w_{name}")
    return name if weight in (None, 1, 1.0) else f"{name}, weight {weight:g}"


def _sessions(history: History) -> list[str]:
    rows, before = [], None
    for session in history.sessions:
        record = session.record
        if record is None:
            rows.append((session.path.stem, "", "", "", "no record of this session"))
            continue
        changes = "" if before is None else ", ".join(_differences(before, record.config))
        ended = record.ended or {"how": "no end noted"}
        last = ended.get("step", int(session.rows[-1]["step"]) if session.rows else "")
        rows.append(
            (
                record.started.replace("T", " "),
                f"{record.first_step:,} to {last}",
                str(record.num_processes),
                str(ended.get("how", "")),
                changes,
            )
        )
        before = record.config
    head = ("began", "steps", "processes", "end", "changed settings")
    return ["<h2>Sessions</h2>", plain_table(head, rows, "facts")]


def _data(history: History) -> dict[str, str]:
    record = history.record
    if not record.styles:
        return {}
    counts = ", ".join(f"{name} {count}" for name, count in record.styles.items())
    return {
        "latents": f"{sum(record.styles.values()):,} ({counts})",
        "size": " x ".join(str(side) for side in record.latent_shape),
        "steps per epoch": f"{record.steps_per_epoch:,}",
    }


def _facts(title: str, facts: Mapping[str, str]) -> list[str]:
    if not facts:
        return []
    rows = [(name, str(value)) for name, value in facts.items()]
    return [f"<h2>{title}</h2>", plain_table((), rows, "facts")]


def _configuration(history: History) -> list[str]:
    config = history.record.config
    if not config:
        return []
    default = config_to_dict(Config())
    own = [
        (f"{section}.{key}", _value(value), _value(default.get(section, {}).get(key)))
        for section, key, value in _keys(config)
        if value != default.get(section, {}).get(key)
    ]
    text = html.escape(json.dumps(config, indent=2, ensure_ascii=False))
    return [
        "<h2>Configuration</h2>",
        plain_table(("key", "value", "default"), own, "facts wide"),
        f"<details><summary>all keys</summary><pre>{text}</pre></details>",
    ]


def _keys(config: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    for section, keys in config.items():
        if isinstance(keys, dict):
            for key, value in keys.items():
                yield section, key, value


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{section}.{key} {_value(old.get(section, {}).get(key))} → {_value(value)}"
        for section, key, value in _keys(new)
        if value != old.get(section, {}).get(key)
    ]


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _numbers(history: History) -> list[str]:
    names = [*COUNTS, *(name for name in history.columns if name not in COUNTS)]
    rows = [
        [f"{row[n]:,.0f}" if n in COUNTS else f"{row[n]:.4g}" for n in names if n in row]
        for row in history.rows[-200:]
    ]
    table = plain_table([n for n in names if n in history.columns], rows)
    more = " (the last 200)" if len(history.rows) > 200 else ""
    return [f"<details><summary>all rows{more}</summary>{table}</details>"]

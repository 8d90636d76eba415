"""The table of an evaluation, as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lgt.metrics.controls import CONTROLS
from lgt.metrics.evaluate import Row

COLUMNS = {
    "content": "content",
    "edges": "edges",
    "style": "style",
    "grey_style": "grey style",
    "accuracy": "accuracy",
    "grey_accuracy": "grey accuracy",
    "keep": "keep",
    "reach": "reach",
    "f": "F",
}
"""Number -> heading of its column."""


@dataclass
class Report:
    """All rows, and what went wrong."""

    rows: list[Row]
    problems: Sequence[tuple[Path, str]] = ()
    """Files that could not be read, and why."""
    notes: Sequence[str] = ()
    about: dict[str, Any] = field(default_factory=dict)
    heading: str = ""
    """What of the pictures was judged, if there is more than one report on them."""
    windows: Report | None = None
    """The same rows, judged in windows at full size."""

    def views(self) -> list[Report]:
        """Return this report, and that on the windows if there is one."""
        return [self] if self.windows is None else [self, self.windows]

    def styles(self) -> list[str]:
        """Return the styles of all rows, in order."""
        return list(dict.fromkeys(style for row in self.rows for style in row.styles))

    def summary(self) -> str:
        """Return one line on what was compared."""
        photos = self.about.get("photos", "?")
        controls = "; ".join(f"{name}: {text}" for name, text in CONTROLS.items())
        return (
            f"{photos} photos; means over {', '.join(self.styles())}. Lower is better up to grey "
            f"style, then higher. Controls: {controls}."
        )

    def table(self) -> str:
        """Return the Markdown table of the means over styles; with several views, F's intervals."""

        def cells(row: Row) -> list[str]:
            numbers = [f"{getattr(row.mean, name):.2f}" for name in COLUMNS]
            if self.heading:
                numbers[-1] = _with_interval(row, "mean", "f")
            return [*numbers, *_costs(row)]

        return self._markdown_table([*COLUMNS.values(), "s/image", "MiB"], cells)

    def tables(self) -> str:
        """Return the table of every view, each under its heading."""
        return "\n\n".join(
            f"{view.heading}:\n\n{view.table()}" if view.heading else view.table()
            for view in self.views()
        )

    def style_table(self, number: str) -> str:
        """Return the Markdown table of one number by style, with its intervals where there are."""

        def cells(row: Row) -> list[str]:
            return [_with_interval(row, style, number) for style in [*self.styles(), "mean"]]

        return self._markdown_table([*self.styles(), "mean"], cells)

    def extras_table(self) -> str:
        """Return the Markdown table of the further numbers, means over styles."""
        names = list(dict.fromkeys(n for row in self.rows for n in row.extras.get("mean", {})))

        def cells(row: Row) -> list[str]:
            values = row.extras.get("mean", {})
            return [f"{values[name]:.2f}" if name in values else "" for name in names]

        return self._markdown_table([name.replace("_", " ") for name in names], cells)

    def markdown(self) -> str:
        """Return the whole report."""
        parts = ["# Evaluation"]
        for view in self.views():
            parts += ["", f"# {view.heading}"] if view.heading else []
            parts += view._sections()
        return "\n".join(parts) + "\n"

    def _sections(self) -> list[str]:
        parts = ["", self.summary(), "", self.table()]
        for name, heading in COLUMNS.items():
            parts += ["", f"## {heading}, by style", "", self.style_table(name)]
        if any(row.extras for row in self.rows):
            parts += ["", "## Further numbers", "", self.extras_table()]
        if self.notes:
            parts += ["", "## Notes", "", *(f"- {note}" for note in self.notes)]
        return parts

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values: dict[str, Any] = {
            "about": self.about,
            "rows": [row.to_dict() for row in self.rows],
            "notes": list(self.notes),
            "problems": [[str(path), reason] for path, reason in self.problems],
        }
        if self.heading:
            values = {"heading": self.heading, **values}
        if self.windows is not None:
            values["windows"] = self.windows.to_dict()
        return values

    def json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def _markdown_table(self, headings: list[str], cells: Callable[[Row], list[str]]) -> str:
        lines = [f"| | {' | '.join(headings)} |", "|---|" + "---:|" * len(headings)]
        lines += [f"| {row.name} | {' | '.join(cells(row))} |" for row in self.rows]
        return "\n".join(lines)


def _costs(row: Row) -> list[str]:
    seconds, memory = (row.cost.get(name) for name in ("seconds_per_image", "peak_memory_mib"))
    return ["" if seconds is None else f"{seconds:.2f}", "" if memory is None else f"{memory:.0f}"]


def _with_interval(row: Row, style: str, number: str) -> str:
    factors = row.mean if style == "mean" else row.styles.get(style)
    if factors is None:
        return ""
    interval = row.intervals.get(style, {}).get(number)
    bounds = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{getattr(factors, number):.2f}{bounds}"

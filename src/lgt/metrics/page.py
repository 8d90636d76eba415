"""The report as one HTML file with the pictures inside; it loads nothing from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lgt.image import contact_sheet, resize_and_crop, to_image
from lgt.metrics.features import Pictures
from lgt.metrics.folders import spread
from lgt.metrics.report import COLUMNS, Report
from lgt.report.page import page, paragraph, picture_url

SIDE = 144
"""Side of a picture on the page, in pixels."""


@dataclass(frozen=True)
class Shown:
    """The pictures of one view."""

    photos: Pictures
    """uint8 `[N, 3, H, W]`."""
    outputs: Mapping[str, Mapping[str, Pictures]]
    """Name of a row -> style -> pictures in the photos' order."""
    side: int = SIDE
    """That they are shown at, in pixels."""


def html_page(report: Report, shown: Sequence[Shown], count: int = 6) -> str:
    """Return the page.

    Args:
        report: The numbers.
        shown: The pictures of each of its views.
        count: Photos that are shown.
    """
    parts = []
    for view, pictures in zip(report.views(), shown, strict=True):
        parts += [f"<h1>{html.escape(view.heading)}</h1>"] if view.heading else []
        parts += _sections(view, pictures, count)
    return page("Evaluation", parts)


def _sections(report: Report, shown: Shown, count: int) -> list[str]:
    parts = [paragraph(report.summary()), _mean_table(report)]
    for name, heading in COLUMNS.items():
        parts.append(f"<h2>{html.escape(heading)}, by style</h2>{_style_table(report, name)}")
    which = spread(range(len(shown.photos)), count)
    for style in report.styles():
        sheet = _sheet(style, which, shown)
        parts.append(f"<h2>{html.escape(style)}</h2><div><img alt='' src='{sheet}'></div>")
    return parts + [paragraph(note) for note in report.notes]


def _mean_table(report: Report) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in COLUMNS.values())
    rows = []
    for row in report.rows:
        cells = []
        for name in COLUMNS:
            interval = row.intervals.get("mean", {}).get(name)
            bounds = (
                f"<br><small>{interval[0]:.2f} to {interval[1]:.2f}</small>" if interval else ""
            )
            cells.append(f"<td>{getattr(row.mean, name):.2f}{bounds}</td>")
        name = html.escape(row.name)
        rows.append(f"<tr class='{row.kind}'><td>{name}</td>{''.join(cells)}</tr>")
    return f"<div><table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


def _style_table(report: Report, number: str) -> str:
    styles = report.styles()
    head = "".join(f"<th>{html.escape(style)}</th>" for style in styles)
    rows = []
    for row in report.rows:
        cells = "".join(
            f"<td>{getattr(row.styles[s], number):.2f}</td>" if s in row.styles else "<td></td>"
            for s in styles
        )
        rows.append(f"<tr class='{row.kind}'><td>{html.escape(row.name)}</td>{cells}</tr>")
    return f"<div><table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


def _sheet(style: str, which: list[int], shown: Shown) -> str:
    """Return photos down and methods across as a data URL."""
    columns = {"photo": shown.photos}
    named = shown.outputs.items()
    columns |= {name: p[style] for name, p in named if style in p and name != "IDT"}
    rows = [
        [
            resize_and_crop(to_image(pictures[i].float() / 255), shown.side)
            for pictures in columns.values()
        ]
        for i in which
    ]
    return picture_url(contact_sheet(rows, (), [name[:20] for name in columns]))

"""The report as one HTML file with the pictures inside; it loads nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

from lgt.image import contact_sheet, resize_and_crop, to_image
from lgt.metrics.features import Pictures
from lgt.metrics.folders import spread
from lgt.metrics.report import COLUMNS, Report

SIDE = 144
"""Side of a picture on the page, in pixels."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
tr.result td { font-weight: 600; }
small { color: #555; font-weight: 400; }
img { max-width: 100%; }
div { overflow-x: auto; }
"""


def html_page(
    report: Report,
    photos: Pictures,
    outputs: Mapping[str, Mapping[str, Pictures]],
    count: int = 6,
) -> str:
    """Return the page.

    Args:
        report: The numbers.
        photos: uint8 `[N, 3, H, W]`.
        outputs: Name of a row -> style -> pictures in the photos' order.
        count: Photos that are shown.
    """
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Evaluation</title>",
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>",
        "<h1>Evaluation</h1>",
        f"<p>{html.escape(report.summary())}</p>",
        _mean_table(report),
    ]
    for name, heading in COLUMNS.items():
        parts.append(f"<h2>{html.escape(heading)}, by style</h2>{_style_table(report, name)}")
    which = spread(range(len(photos)), count)
    for style in report.styles():
        sheet = _sheet(style, which, photos, outputs)
        parts.append(f"<h2>{html.escape(style)}</h2><div><img alt='' src='{sheet}'></div>")
    parts += [f"<p>{html.escape(note)}</p>" for note in report.notes]
    return "\n".join([*parts, "</body></html>"]) + "\n"


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


def _sheet(
    style: str,
    which: list[int],
    photos: Pictures,
    outputs: Mapping[str, Mapping[str, Pictures]],
) -> str:
    """Return photos down and methods across as a data URL."""
    columns = {"photo": photos}
    columns |= {name: p[style] for name, p in outputs.items() if style in p and name != "IDT"}
    rows = [
        [
            resize_and_crop(to_image(pictures[i].float() / 255), SIDE)
            for pictures in columns.values()
        ]
        for i in which
    ]
    buffer = io.BytesIO()
    contact_sheet(rows, (), [name[:20] for name in columns]).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

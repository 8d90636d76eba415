"""HTML pages that are one file: style, script and pictures inside, nothing from elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #22211d; --quiet: #5c5a53; --line: #d9d6ce;
  --card: #f7f6f3; --accent: #2d5d7f; --bad: #fbe7e2; --bad-ink: #7c2413; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191a1c; --ink: #ecebe7; --quiet: #a8a69f; --line: #3a3d41;
    --card: #222427; --accent: #8dbbdc; --bad: #46201a; --bad-ink: #ffd3c8; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem;
  background: var(--paper); color: var(--ink); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
tr.result td { font-weight: 600; }
small { color: var(--quiet); font-weight: 400; }
img { max-width: 100%; }
div { overflow-x: auto; }
"""
"""Look of every page, light and dark; colours are variables."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(title: str, parts: Iterable[str], *, style: str = "", script: str = "") -> str:
    """Return a whole document; a policy inside it forbids every request.

    Args:
        title: Plain text, of the window and the first heading.
        parts: HTML of the body, after the heading.
        style: More CSS.
        script: JavaScript, run when the body is there.
    """
    heading = html.escape(title)
    head = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{heading}</title>",
        "<meta name='viewport' content='width=device-width'>",
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<style>{STYLE}{style}</style></head><body>",
        f"<h1>{heading}</h1>",
    ]
    tail = [f"<script>{script}</script>"] if script else []
    return "\n".join([*head, *parts, *tail, "</body></html>"]) + "\n"


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table of plain texts that scrolls sideways where it is too wide.

    Args:
        head: Headings; empty for none.
        rows: Cells of each row.
        kind: Class of the table.
    """
    parts = [f"<div><table class='{kind}'>"]
    if head:
        parts.append("<tr>" + "".join(f"<th>{html.escape(text)}</th>" for text in head) + "</tr>")
    for row in rows:
        parts.append("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>")
    return "".join([*parts, "</table></div>"])


def picture_url(image: Image.Image, *, quality: int = 88) -> str:
    """Return a picture as a data URL (JPEG)."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""A curve as inline SVG; colours are the page's variables, values show where the pointer is."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 10, 30
MAX_POINTS = 500
"""Points drawn at most; of more, those with equal steps between them and the last."""

STYLE = """
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr));
  gap: 1rem; overflow: visible; }
figure { margin: 0; padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; min-width: 0; }
figcaption { display: flex; justify-content: space-between; gap: 1rem; font-weight: 600; }
figcaption output { font-weight: 400; color: var(--quiet); font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: auto; touch-action: pan-y; }
svg text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .mark { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 4; }
svg .level { stroke: #c0562f; stroke-width: 1; stroke-dasharray: 6 4; }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
svg .dot, svg .at { fill: var(--accent); }
"""

SCRIPT = """
for (const svg of document.querySelectorAll('svg[data-points]')) {
  const points = JSON.parse(svg.dataset.points), at = svg.querySelector('.at');
  const out = svg.closest('figure').querySelector('output'), last = out.textContent;
  const show = event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) * WIDTH / box.width;
    let best = points[0];
    for (const p of points) if (Math.abs(p[0] - x) < Math.abs(best[0] - x)) best = p;
    at.setAttribute('cx', best[0]); at.setAttribute('cy', best[1]); at.setAttribute('r', 5);
    out.textContent = best[2];
  };
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', () => { at.setAttribute('r', 0); out.textContent = last; });
}
""".replace("WIDTH", str(WIDTH))


def chart(
    title: str,
    points: Sequence[tuple[float, float]],
    *,
    marks: Sequence[float] = (),
    level: tuple[str, float] | None = None,
) -> str:
    """Return a figure with one curve over the steps.

    A value that spans more than a factor of 50 is drawn on a logarithmic axis.

    Args:
        title: Plain text.
        points: Finite (step, value), by rising step.
        marks: Steps with a dashed vertical line.
        level: Name and value of a dashed horizontal line, left out if far from the curve.
    """
    name = html.escape(title)
    if not points:
        return f"<figure><figcaption>{name}</figcaption><p>no finite value</p></figure>"
    shown = _thinned(points)
    values = [value for _, value in points]
    low, high = min(values), max(values)
    is_log = low > 0 and high > 50 * low
    if level is not None and not _is_near(level[1], low, high):
        level = None
    if level is not None:
        low, high = min(low, level[1]), max(high, level[1])
    y_ticks = _log_ticks(low, high) if is_log else _ticks(*_range(low, high))
    x_ticks = _ticks(*_range(points[0][0], points[-1][0]), count=4, inside=True)
    y_of = _Scale(min(low, y_ticks[0]), max(high, y_ticks[-1]), HEIGHT - BOTTOM, TOP, is_log=is_log)
    x_of = _Scale(*_range(points[0][0], points[-1][0]), LEFT, WIDTH - RIGHT)
    last = _told(points[-1])
    told = f"{title}: {_number(points[0][1])} at first, {last} at the end"
    placed = [(round(x_of(x), 1), round(y_of(y), 1), _told((x, y))) for x, y in shown]
    data = html.escape(json.dumps(placed, separators=(",", ":")))
    parts = [
        f"<figure><figcaption>{name}{' (log)' if is_log else ''}<output>{last}</output>"
        f"</figcaption><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"aria-label='{html.escape(told)}' data-points='{data}'>"
    ]
    for tick in y_ticks:
        y = y_of(tick)
        parts.append(f"<path class='grid' d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}'/>")
        parts.append(_text(LEFT - 6, y + 4, "end", _number(tick)))
    for tick in x_ticks:
        parts.append(_text(x_of(tick), HEIGHT - 10, "middle", f"{tick:,.0f}"))
    for mark in marks:
        if points[0][0] <= mark <= points[-1][0]:
            parts.append(f"<path class='mark' d='M{x_of(mark):.1f} {TOP}V{HEIGHT - BOTTOM}'/>")
    if level is not None:
        y = y_of(level[1])
        parts.append(f"<path class='level' d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}'/>")
        parts.append(_text(WIDTH - RIGHT, y - 4, "end", level[0]))
    line = " ".join(f"{x},{y}" for x, y, _ in placed)
    parts.append(f"<polyline class='curve' points='{line}'/>")
    if len(placed) <= 40:
        parts += [f"<circle class='dot' cx='{x}' cy='{y}' r='2.5'/>" for x, y, _ in placed]
    return "".join([*parts, "<circle class='at' r='0'/></svg></figure>"])


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stride = -(-len(points) // MAX_POINTS)
    kept = list(points[::stride])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _is_near(level: float, low: float, high: float) -> bool:
    """Tell whether a level can be drawn without flattening the curve."""
    room = max(high - low, 0.1 * abs(high))
    return low - room <= level <= high + room


def _range(low: float, high: float) -> tuple[float, float]:
    """Widen an empty range."""
    if high > low:
        return low, high
    room = 0.1 * abs(low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, count: int = 5, *, inside: bool = False) -> list[float]:
    """Return round numbers, about `count`, that enclose the range or lie inside it."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    if inside:
        step = max(1.0, math.ceil(step))
        first, last = math.ceil(low / step), math.floor(high / step)
        return [i * step for i in range(first, last + 1)]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, -(-(last - first) // 6))
    return [10.0**i for i in range(first, last + stride, stride)]


class _Scale:
    """Map [low, high] to pixels, linearly or by the logarithm."""

    def __init__(
        self, low: float, high: float, start: float, end: float, *, is_log: bool = False
    ) -> None:
        self._of: Callable[[float], float] = math.log10 if is_log else float
        self._low, self._start = self._of(low), start
        self._factor = (end - start) / ((self._of(high) - self._low) or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (self._of(value) - self._low) * self._factor


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{html.escape(text)}</text>"


def _number(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:.4g}"


def _told(point: tuple[float, float]) -> str:
    return f"{_number(point[1])} at step {point[0]:,.0f}"

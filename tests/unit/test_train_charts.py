"""Curves as SVG."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from lgt.report.charts import HEIGHT, MAX_POINTS, WIDTH, chart


def points_of(figure: str) -> list[list[float]]:
    found = re.search(r"data-points='([^']*)'", figure)
    assert found
    return json.loads(unescape(found[1]))


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [2.0, 2.0],
        [0.0, 0.0, 0.0],
        [-3.0, 5.0],
        [1e-9, 3e-9],
        [1e12, 2e12],
        [0.1, 5000.0],
        [0.3, 0.1, 0.2],
    ],
)
def test_every_value_is_inside(values: list[float]) -> None:
    figure = chart("t", [(float(i * 10), v) for i, v in enumerate(values)])
    placed = points_of(figure)
    assert len(placed) == len(values)
    for x, y, _ in placed:
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    order = sorted(range(len(values)), key=lambda i: values[i])
    heights = [placed[i][1] for i in order]
    assert heights == sorted(heights, reverse=True), "more is higher"
    assert 2 <= figure.count("class='grid'") <= 12


def test_labels_are_round_and_tell_the_last_value() -> None:
    figure = chart("energy", [(10.0, 0.123), (1000.0, 0.487)])
    labels = re.findall(r"text-anchor='(?:end|middle)'>([^<]*)<", figure)
    assert {"0.1", "0.2", "0.5", "500", "1,000"} <= set(labels)
    assert "<output>0.487 at step 1,000</output>" in figure


def test_a_wide_range_is_logarithmic() -> None:
    assert "(log)" in chart("t", [(1.0, 1.0), (2.0, 100.0)])
    assert "(log)" not in chart("t", [(1.0, 1.0), (2.0, 40.0)])
    assert "(log)" not in chart("t", [(1.0, 0.0), (2.0, 40.0)])


def test_many_points_are_thinned_and_the_last_stays() -> None:
    placed = points_of(chart("t", [(float(i), float(i)) for i in range(10_001)]))
    assert MAX_POINTS // 2 < len(placed) <= MAX_POINTS + 1
    assert placed[-1][2] == "1e+04 at step 10,000"


def test_marks_and_levels() -> None:
    points = [(0.0, 1.0), (10.0, 2.0)]
    figure = chart("t", points, marks=[5.0, 50.0], level=("limit <", 2.5))
    assert figure.count("class='mark'") == 1
    assert figure.count("class='level'") == 1 and "limit &lt;" in figure
    assert "class='level'" not in chart("t", points, level=("limit", 1000.0))


def test_without_points() -> None:
    assert "no finite value" in chart("<t>", [])
    assert "&lt;t&gt;" in chart("<t>", [])

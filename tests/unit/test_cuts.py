"""Windows of pictures at full size: where they lie, their order, and what counts as one photo."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys import picture

from lgt.image import save_image
from lgt.metrics.bench import Bench, Data
from lgt.metrics.cuts import WINDOWS, by_window, levels, square, window_places, windows
from lgt.metrics.evaluate import evaluate
from lgt.metrics.features import Measurer
from lgt.metrics.folders import find_results
from lgt.metrics.judge import Factors
from lgt.nn.backbone import load_backbone

pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra lgt[metrics]")

SIZE = 64


def test_places_come_from_the_content() -> None:
    first, again, other = picture(1, (200, 150)), picture(1, (200, 150)), picture(2, (200, 150))
    places = window_places(first, SIZE)
    assert places == window_places(again, SIZE)
    assert places != window_places(other, SIZE)
    assert len(places) == WINDOWS


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (200, 150), (64, 300)])
def test_each_quarter_of_the_room_holds_one(size: tuple[int, int]) -> None:
    rooms = size[0] - SIZE, size[1] - SIZE
    checked = 0
    for seed in range(20):
        for index, place in enumerate(window_places(picture(seed, size), SIZE)):
            for room, part, at in zip(rooms, (index % 2, index // 2), place, strict=True):
                assert room * part / 2 - 1 < at <= room * (part + 1) / 2
                assert 0 <= at <= room
                checked += 1
    assert checked == 20 * WINDOWS * 2


def test_windows_are_the_pixels() -> None:
    image = picture(3, (90, 70))
    cut = windows(image, SIZE, [(0, 0), (20, 5)])
    assert torch.equal(cut[1], levels(image)[0, :, 5:69, 20:84])
    assert square(image, SIZE).shape == (1, 3, SIZE, SIZE)


def test_the_first_windows_come_first() -> None:
    cut = [torch.full((2, 3, 4, 4), 10 * photo) for photo in range(3)]
    for photo in cut:
        photo[1] += 1
    assert by_window(cut)[:, 0, 0, 0].tolist() == [0, 10, 20, 1, 11, 21]


def data_of(copies: int) -> Data:
    """Return three photos and works, every picture so many times."""

    def pictures(first: int) -> torch.Tensor:
        one = torch.cat([levels(picture(first + i, (SIZE, SIZE))) for i in range(3)])
        return torch.cat([one] * copies)

    return Data(
        pictures(0),
        ["a", "b", "c"],
        {"paint": pictures(10)},
        {"paint": pictures(20)},
        pictures(30),
    )


def test_windows_of_one_photo_are_one_photo() -> None:
    """Equal windows change nothing: neither what counts as 1, nor the draws of the bootstrap."""
    measurer = Measurer(load_backbone())
    rows, units = [], []
    for copies in (1, 4):
        data = data_of(copies)
        bench = Bench(data, measurer)
        units.append(bench.unrelated)
        outputs = {"paint": torch.cat([data.photos.flip(3)])}
        rows.append(evaluate(bench, "flipped", outputs, replicates=20))
    assert units[1] == pytest.approx(units[0])
    assert rows[1].mean.to_dict() == pytest.approx(rows[0].mean.to_dict(), abs=1e-5)
    first, second = (row.intervals["mean"] for row in rows)
    for name in Factors.__dataclass_fields__:
        assert second[name] == pytest.approx(first[name], abs=1e-5), name
    assert first["content"][0] < first["content"][1]


def test_results_as_transfer_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "paint"
    for name in ("a_paint.png", "b.png", "c.png", "c_paint.png"):
        save_image(picture(0), folder / name)
    found = find_results(folder, ["a", "b", "c"])
    assert [path.name for path in found] == ["a_paint.png", "b.png", "c.png"]
    assert find_results(folder, ["c_paint"]) == [folder / "c_paint.png"]

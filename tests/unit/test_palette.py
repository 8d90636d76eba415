"""The photo's broad colours in a painting."""

from __future__ import annotations

import numpy as np
import pytest

from lgt.image import luma
from lgt.paint.palette import SURE, with_photo_colors

RED, BLUE, OLIVE = ((0.8, 0.3, 0.3), (0.3, 0.4, 0.8), (0.5, 0.5, 0.3))


def halves(left: tuple[float, ...], right: tuple[float, ...], side: int = 80) -> np.ndarray:
    picture = np.empty((1, 3, side, side), np.float32)
    picture[..., : side // 2] = np.reshape(left, (3, 1, 1))
    picture[..., side // 2 :] = np.reshape(right, (3, 1, 1))
    return picture


def chroma(picture: np.ndarray) -> np.ndarray:
    return np.asarray(picture - luma(picture))


def strength(picture: np.ndarray) -> float:
    return float(np.sqrt(np.square(chroma(picture)).sum(1)).mean())


def test_a_share_of_the_photos_hues_comes_back_at_the_paintings_saturation() -> None:
    photo, painting = halves(RED, BLUE), halves(OLIVE, OLIVE)
    whole = with_photo_colors(painting.copy(), photo, 1.0)
    np.testing.assert_allclose(luma(whole), luma(painting), atol=1e-6)
    wanted = chroma(photo) * (strength(painting) / strength(photo))
    for column in (10, 70):  # Away from the border between them, which is soft.
        np.testing.assert_allclose(
            chroma(whole)[..., column], wanted[..., column], atol=1e-5, rtol=0
        )
    half = with_photo_colors(painting.copy(), photo, 0.5)
    np.testing.assert_allclose(half, (whole + painting) / 2, atol=1e-6)


def test_none_changes_nothing() -> None:
    painting = halves(OLIVE, RED)
    assert with_photo_colors(painting, halves(BLUE, BLUE), 0.0) is painting


def test_a_drawing_in_grey_stays_grey() -> None:
    painting = np.repeat(np.random.default_rng(0).random((1, 1, 64, 96), np.float32), 3, 1)
    done = with_photo_colors(
        painting.copy(), np.full((1, 3, 64, 96), 0.0) + np.reshape(RED, (3, 1, 1)), 1.0
    )
    np.testing.assert_allclose(done, painting, atol=1e-5)


@pytest.mark.parametrize("share", [0.35, 1.0])
def test_a_photo_in_black_and_white_takes_no_colour_away(share: float) -> None:
    painting = halves(OLIVE, BLUE)
    grey = np.full_like(painting, 0.4)
    np.testing.assert_allclose(with_photo_colors(painting.copy(), grey, share), painting, atol=1e-6)
    # A pale one, as colourful as a third of the painting, counts in full.
    pale = luma(painting) + chroma(halves(BLUE, BLUE)) * (
        strength(painting) / SURE / strength(halves(BLUE, BLUE))
    )
    done = with_photo_colors(painting.copy(), pale.astype(np.float32), 1.0)
    np.testing.assert_allclose(chroma(done)[..., 5], chroma(pale)[..., 5], atol=1e-5)


def test_strokes_keep_their_own_colours() -> None:
    """What is smaller than a cell is not the photo's to say."""
    rng = np.random.default_rng(1)
    grain = rng.normal(0, 0.05, (1, 3, 320, 320)).astype(np.float32)
    painting = halves(OLIVE, OLIVE, 320) + grain
    done = with_photo_colors(painting.copy(), halves(RED, RED, 320), 1.0)
    left = done - done.mean((2, 3), keepdims=True)
    before = painting - painting.mean((2, 3), keepdims=True)
    assert float((left * before).sum() / np.square(before).sum()) > 0.95


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (39, 41), (41, 123)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    painting, photo = rng.random((2, 2, 3, *size), np.float32)
    done = with_photo_colors(painting.copy(), photo, 1.0)
    assert done.shape == painting.shape and np.isfinite(done).all()
    alone = with_photo_colors(painting[1:].copy(), photo[1:], 1.0)
    np.testing.assert_allclose(alone[0], done[1], atol=1e-6)  # Each by itself.

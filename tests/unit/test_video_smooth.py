"""The temporal filter: still places hold still, moving ones are not smeared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import scene

from lgt.dynamics.interpolant import draw_noise
from lgt.image import to_pixels
from lgt.paint.engine import Pixels
from lgt.video.smooth import TemporalFilter, change, noise_level


def frames_of(num_frames: int, noise: float, **options: int) -> list[Pixels]:
    return [to_pixels(frame) for frame in scene(num_frames, 96, 64, noise=noise, **options)]


def still(num_frames: int, noise: float) -> list[Pixels]:
    rng = np.random.default_rng(0)
    clean = frames_of(1, 0.0)[0]
    grain = rng.standard_normal((num_frames, *clean.shape), np.float32)
    return [clean + noise / 255 * one for one in grain]


def test_zero_is_off() -> None:
    smoother = TemporalFilter(0.0)
    for frame in frames_of(3, 3.0):
        steady, gain = smoother.steady(frame)
        assert np.array_equal(steady, frame)
        assert gain == 1.0
        assert smoother.blend([frame], gain)[0] is frame


@pytest.mark.parametrize("noise", [1.0, 4.0, 8.0])
def test_still_places_hold_still(noise: float) -> None:
    frames = still(12, noise)
    smoother = TemporalFilter(0.85)
    steady = [smoother.steady(frame)[0] for frame in frames]
    before = np.abs(frames[-1] - frames[-2]).mean()
    after = np.abs(steady[-1] - steady[-2]).mean()
    assert after < 0.2 * before


def test_what_moves_is_what_the_source_shows() -> None:
    """Around the square the filter lets go: the difference is no more than the noise."""
    frames, clean = frames_of(12, 3.0), frames_of(12, 0.0)
    smoother = TemporalFilter(0.85)
    for frame, true in zip(frames, clean, strict=True):
        steady, _ = smoother.steady(frame)
        error = np.abs(steady - true).mean((0, 1)).reshape(16, 4, 24, 4).mean((1, 3))
        assert error.max() < 6 / 255


def test_paintings_follow_where_the_source_moves() -> None:
    """A painting that differs much from the source is not smeared either."""
    frames = frames_of(12, 3.0)
    smoother = TemporalFilter(0.85)
    worst = 0.0
    for frame in frames:
        steady, gain = smoother.steady(frame)
        shown = smoother.blend([1 - steady], gain)[0]
        worst = max(worst, float(np.abs((1 - frame) - shown).mean(1).max()))
    assert worst < 0.06


@pytest.mark.parametrize("speed", [0.002, 0.01])
def test_slow_changes_add_up_until_they_count(speed: float) -> None:
    frame = frames_of(1, 0.0)[0]
    smoother = TemporalFilter(0.95)
    for index in range(60):
        now = frame * (1 - speed) ** index
        steady, _ = smoother.steady(now)
        assert np.abs(steady - now).max() < 6 / 255


def test_a_new_scene_starts_afresh() -> None:
    first, second = frames_of(1, 0.0)[0], 1 - frames_of(1, 0.0)[0]
    smoother = TemporalFilter(0.9)
    smoother.blend([first], smoother.steady(first)[1])
    steady, gain = smoother.steady(second)
    assert gain == 1.0
    assert np.array_equal(steady, second)
    assert np.array_equal(smoother.blend([second], gain)[0], second)


def test_noise_is_estimated_and_texture_in_motion_is_not_noise() -> None:
    first, second = still(2, 5.0)
    energy = ((first - second) ** 2).mean(1, keepdims=True)
    assert 3.0 < 255 * noise_level(second, energy) < 8.0
    pan = np.roll(first, 3, axis=-1)
    moved = change(pan, first)
    assert np.median(moved) > 0.5
    assert change(second, first).mean() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (3, 3), (17, 5)])
def test_tiny_frames(size: tuple[int, int]) -> None:
    smoother = TemporalFilter(0.85)
    for value in (0.5, 0.51, 0.52):
        frame = np.full((1, 3, *size), value, np.float32)
        steady, gain = smoother.steady(frame)
        assert steady.shape == frame.shape
        assert smoother.blend([steady], gain)[0].shape == frame.shape


def test_rounding_keeps_the_state() -> None:
    smoother = TemporalFilter(0.85)
    frame = frames_of(1, 3.0)[0]
    smoother.blend([frame], smoother.steady(frame)[1])
    smoother.round()
    assert smoother.source is not None
    assert np.abs(smoother.source - frame).max() < 1 / 2000
    assert np.array_equal(smoother.source.astype(np.float16), smoother.source)


def test_shared_noise_is_one_draw_for_all() -> None:
    x = torch.zeros(3, 4, 5, 6)
    shared = draw_noise(x, torch.Generator().manual_seed(0), is_shared=True)
    single = draw_noise(x[:1], torch.Generator().manual_seed(0))
    assert torch.equal(shared, single.expand(3, -1, -1, -1))
    own = draw_noise(x, torch.Generator().manual_seed(0))
    assert not torch.equal(own[0], own[1])

"""The temporal filter: still places hold still, moving ones are not smeared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import scene
from torch import Tensor

from lgt.dynamics.interpolant import draw_noise
from lgt.video.smooth import TemporalFilter, change, noise_level


def tensors(num_frames: int, noise: float, **options: int) -> list[Tensor]:
    frames = scene(num_frames, 96, 64, noise=noise, **options)
    return [torch.from_numpy(f).permute(2, 0, 1)[None].float() / 255 for f in frames]


def still(num_frames: int, noise: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean = tensors(1, 0.0)[0]
    return [
        clean + noise / 255 * torch.randn(clean.shape, generator=generator)
        for _ in range(num_frames)
    ]


def test_zero_is_off() -> None:
    smoother = TemporalFilter(0.0)
    for frame in tensors(3, 3.0):
        steady, gain = smoother.steady(frame)
        assert torch.equal(steady, frame)
        assert gain == 1.0
        assert smoother.blend([frame], gain)[0] is frame


@pytest.mark.parametrize("noise", [1.0, 4.0, 8.0])
def test_still_places_hold_still(noise: float) -> None:
    frames = still(12, noise)
    smoother = TemporalFilter(0.85)
    steady = [smoother.steady(frame)[0] for frame in frames]
    before = (frames[-1] - frames[-2]).abs().mean()
    after = (steady[-1] - steady[-2]).abs().mean()
    assert after < 0.2 * before


def test_what_moves_is_what_the_source_shows() -> None:
    """Around the square the filter lets go: the difference is no more than the noise."""
    frames, clean = tensors(12, 3.0), tensors(12, 0.0)
    smoother = TemporalFilter(0.85)
    for frame, true in zip(frames, clean, strict=True):
        steady, _ = smoother.steady(frame)
        error = torch.nn.functional.avg_pool2d((steady - true).abs().mean(1), 4)
        assert float(error.max()) < 6 / 255


def test_paintings_follow_where_the_source_moves() -> None:
    """A painting that differs much from the source is not smeared either."""
    frames = tensors(12, 3.0)
    smoother = TemporalFilter(0.85)
    worst = 0.0
    for frame in frames:
        steady, gain = smoother.steady(frame)
        shown = smoother.blend([1 - steady], gain)[0]
        worst = max(worst, float(((1 - frame) - shown).abs().mean(1).max()))
    assert worst < 0.06


@pytest.mark.parametrize("speed", [0.002, 0.01])
def test_slow_changes_add_up_until_they_count(speed: float) -> None:
    frame = tensors(1, 0.0)[0]
    smoother = TemporalFilter(0.95)
    for index in range(60):
        now = frame * (1 - speed) ** index
        steady, _ = smoother.steady(now)
        assert float((steady - now).abs().max()) < 6 / 255


def test_a_new_scene_starts_afresh() -> None:
    first, second = tensors(1, 0.0)[0], 1 - tensors(1, 0.0)[0]
    smoother = TemporalFilter(0.9)
    smoother.blend([first], smoother.steady(first)[1])
    steady, gain = smoother.steady(second)
    assert gain == 1.0
    assert torch.equal(steady, second)
    assert torch.equal(smoother.blend([second], gain)[0], second)


def test_noise_is_estimated_and_texture_in_motion_is_not_noise() -> None:
    first, second = still(2, 5.0)
    energy = ((first - second) ** 2).mean(1, keepdim=True)
    assert 3.0 < 255 * float(noise_level(second, energy)) < 8.0
    pan = torch.roll(first, 3, dims=-1)
    moved = change(pan, first)
    assert float(moved.median()) > 0.5
    assert float(change(second, first).mean()) < 0.05


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (3, 3), (17, 5)])
def test_tiny_frames(size: tuple[int, int]) -> None:
    smoother = TemporalFilter(0.85)
    for value in (0.5, 0.51, 0.52):
        frame = torch.full((1, 3, *size), value)
        steady, gain = smoother.steady(frame)
        assert steady.shape == frame.shape
        assert smoother.blend([steady], gain)[0].shape == frame.shape


def test_rounding_keeps_the_state() -> None:
    smoother = TemporalFilter(0.85)
    frame = tensors(1, 3.0)[0]
    smoother.blend([frame], smoother.steady(frame)[1])
    smoother.round()
    assert smoother.source is not None
    assert float((smoother.source - frame).abs().max()) < 1 / 2000
    assert np.array_equal(smoother.source.half().float(), smoother.source)


def test_shared_noise_is_one_draw_for_all() -> None:
    x = torch.zeros(3, 4, 5, 6)
    shared = draw_noise(x, torch.Generator().manual_seed(0), is_shared=True)
    single = draw_noise(x[:1], torch.Generator().manual_seed(0))
    assert torch.equal(shared, single.expand(3, -1, -1, -1))
    own = draw_noise(x, torch.Generator().manual_seed(0))
    assert not torch.equal(own[0], own[1])

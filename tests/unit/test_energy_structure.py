"""Structure of shades: small things keep their shape, plain places are free."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lgt.energy.features import edge_difference, structure_difference
from lgt.image.edges import edge_map


def scene(generator: Generator) -> Tensor:
    """Return a plain ground with a large square of blotches and, apart from it, two dark eyes."""
    image = torch.full((1, 1, 96, 96), 0.6)
    blotches = torch.rand(1, 1, 14, 14, generator=generator)
    image[..., 2:58, 2:58] = F.interpolate(blotches, scale_factor=4, mode="bilinear")
    for column in (70, 82):
        image[..., 74:79, column : column + 6] = 0.1
    return image


def test_contrast_and_brightness_do_not_matter(generator: Generator) -> None:
    photo = scene(generator)
    for other in (photo, 0.5 * photo + 0.3, 2.0 * photo - 0.4):
        assert float(structure_difference(other, photo)) < 0.01
    assert float(structure_difference(1 - photo, photo)) > 0.8, "light for dark"


def test_strokes_are_free_where_the_photo_is_plain(generator: Generator) -> None:
    photo = scene(generator)
    strokes = 0.1 * torch.randn(1, 1, 96, 96, generator=generator)
    plain = torch.ones_like(photo)
    plain[..., :66, :66] = 0  # Far enough from the blotches that no square sees both,
    plain[..., 66:88, 60:] = 0  # and from the eyes.
    copy = structure_difference(photo, photo)
    assert torch.equal(structure_difference(photo + plain * strokes, photo), copy)
    assert float(structure_difference(photo + (1 - plain) * strokes, photo)) > 0.05


def test_a_lost_eye_counts_for_its_size(generator: Generator) -> None:
    """Among bolder edges the correlation of a whole window hardly sees it."""
    photo = scene(generator)
    blind = photo.clone()
    blind[..., 74:79, 70:76] = 0.6
    around = (..., slice(68, 85), slice(64, 82))  # All squares that see it, and no other.
    lost = structure_difference(blind[around], photo[around])
    assert float(lost) > 0.3
    whole = structure_difference(blind, photo) - structure_difference(photo, photo)
    share = lost * (11 * 12) / (90 * 90)
    torch.testing.assert_close(whole, share, rtol=0.05, atol=0)
    colours = (x.expand(-1, 3, -1, -1) for x in (blind, photo))
    seen, before = (edge_map(x) for x in colours)
    assert float(edge_difference(seen, before)) < 0.25


def test_slopes_are_finite_where_all_is_plain() -> None:
    plain = torch.full((2, 1, 9, 9), 0.5).requires_grad_()
    structure_difference(plain, plain.detach()).sum().backward()
    assert plain.grad is not None and bool(plain.grad.isfinite().all())

"""Tiles give what the whole picture gives: exactly in codecs, nearly in the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lgt.codec import CodecSpec, DCTCodec, load_codec
from lgt.codec.tiles import TiledCodec, reach
from lgt.nn import LGTUNet
from lgt.nn.blocks import group_norm
from lgt.nn.statistics import GroupStatistics, shared_statistics
from lgt.nn.tiles import ramps, spans, tiled_velocity


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    """Return soft shapes with grain, in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, channels, 5, 6, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (smooth + 0.1 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


# --- codecs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded() -> Any:
    return load_codec("embedded")


@pytest.mark.parametrize("size", [(200, 456), (416, 72)])
def test_tiles_of_the_embedded_codec_are_exact(embedded: Any, size: tuple[int, int]) -> None:
    tiled, image = TiledCodec(embedded, 128), picture(*size)
    latent = embedded.encode(image)
    torch.testing.assert_close(tiled.encode(image), latent, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tiled.decode(latent), embedded.decode(latent), atol=1e-4, rtol=0)


def test_a_codec_sees_no_farther_than_its_reach(embedded: Any) -> None:
    encoder, decoder = reach(embedded) or (0, 0)
    image = torch.full((1, 3, 8, 8 * 41), 0.5)
    latent = embedded.encode(image)
    image[..., 8 * 20 : 8 * 21] = float("nan")
    touched = (~embedded.encode(image).isfinite()).any(1)[0, 0].nonzero()
    assert 20 - encoder <= int(touched.min()) <= 20 - encoder + 1
    latent[..., 20] = float("nan")
    touched = (~embedded.decode(latent).isfinite()).any(1)[0, 0].nonzero() // 8
    assert 20 - decoder <= int(touched.min()) <= 20 - decoder + 2


def test_tiles_of_a_block_transform_need_no_overlap() -> None:
    codec, image = DCTCodec(4), picture(104, 136)
    assert reach(codec) == (0, 0)
    calls: list[float] = []
    latent = TiledCodec(codec, 64, calls.append).encode(image)
    torch.testing.assert_close(latent, codec.encode(image))
    assert calls == [pytest.approx((i + 1) / 6) for i in range(6)]


class Normalised(nn.Module):
    """A codec's inside that sees the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, 3)
        self.is_tiling = False

    def enable_tiling(self) -> None:
        self.is_tiling = True

    def disable_tiling(self) -> None:
        self.is_tiling = False


def test_a_codec_with_normalisation_uses_its_own_tiles() -> None:
    class Codec:
        spec = CodecSpec("n", "n", 3, 8)

        def __init__(self) -> None:
            self.model, self.seen = Normalised(), [False]

        def encode(self, images: Tensor) -> Tensor:
            self.seen.append(self.model.is_tiling)
            return self.model.norm(images)[..., ::8, ::8]

        decode = encode

        def to(self, device: Any, dtype: Any = None) -> Any:
            return self

    codec = Codec()
    assert reach(codec) is None
    for side, is_tiling in ((64, False), (128, True)):
        image = picture(side, side)
        assert torch.equal(TiledCodec(codec, 64).encode(image), codec.encode(image))
        assert codec.seen[-2:] == [is_tiling, False]


# --- the network ---------------------------------------------------------------------------------


def network() -> LGTUNet:
    torch.manual_seed(0)
    net = LGTUNet(
        base_channels=16, style_dim=8, time_dim=8, num_encoder_blocks=2, num_decoder_blocks=3
    )
    nn.init.normal_(net.conv_out.weight, std=0.05)
    return net.eval()


@pytest.mark.parametrize("length", [1, 64, 65, 97, 130, 257])
def test_tiles_cover_and_their_weights_sum_to_one(length: int) -> None:
    tiles = spans(length, 64, 16, 4)
    assert [low for low, *_ in tiles][1:] == [high for _, high, *_ in tiles][:-1]
    assert (tiles[0][0], tiles[-1][1]) == (0, length)
    assert all(first % 4 == 0 and last - first <= 96 for _, _, first, last in tiles)
    total = torch.zeros(length)
    for (_, _, first, last), weights in zip(tiles, ramps(tiles, length, 16), strict=True):
        total[first:last] += weights
        if first:
            assert float(weights[:8].max()) == 0, "the border of a tile counts for nothing"
    torch.testing.assert_close(total, torch.ones(length))


def test_held_statistics_are_those_of_the_whole() -> None:
    norm = group_norm(16)
    nn.init.normal_(norm.weight)
    x = 3 * torch.randn(1, 16, 24, 20) + 1
    statistics = GroupStatistics()
    with shared_statistics(statistics):
        torch.testing.assert_close(norm(x), norm(x.clone()))
        part = norm(x[..., 4:9, 2:7])
    torch.testing.assert_close(part, norm(x)[..., 4:9, 2:7], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(part, norm(x[..., 4:9, 2:7]), atol=0.01)


@torch.no_grad()
def test_tiles_leave_no_seam() -> None:
    net = network()
    x_src = picture(130, 150, 4) * 4 - 2
    condition = net.condition(torch.tensor([1]), torch.tensor([0]), x_src)
    t = torch.tensor([0.3])
    whole = net.velocity(x_src, t, condition)
    tiled = tiled_velocity(net, tile=48, halo=32)(x_src, t, condition)
    size = float(whole.abs().mean())
    assert float((tiled - whole).abs().mean()) < 0.1 * size, "untrained: the worst case"
    edges = [high for _, high, *_ in spans(150, 48, 32, 4)][:-1]
    assert len(edges) >= 2

    def steps(error: Tensor) -> Tensor:
        return error.diff(dim=-1).abs().mean((0, 1, 2))

    def steepness(error: Tensor, edge: int) -> float:
        """Return the step of the error across a border over its mean step."""
        return float(steps(error)[edge - 1] / steps(error).mean())

    assert max(steepness(tiled - whole, edge) for edge in edges) < 1.3
    halves = [slice(0, 76), slice(76, 150)]
    parts = [net.velocity(x_src[..., c], t, replaced(condition, c)) for c in halves]
    alone = torch.cat(parts, dim=-1)
    assert steepness(alone - whole, 76) > 2.5, "with own statistics and no overlap there is a seam"


@torch.no_grad()
def test_enough_passes_are_exact() -> None:
    """Each pass makes the statistics of one layer more exact; the network has 13."""
    net, x = network(), picture(96, 70, 4)
    condition, t = net.condition(torch.tensor([1]), None, x), torch.tensor([0.3])
    tiled = tiled_velocity(net, tile=48, halo=64, passes=15)(x, t, condition)
    torch.testing.assert_close(tiled, net.velocity(x, t, condition), atol=1e-4, rtol=1e-3)


def replaced(condition: Any, columns: slice) -> Any:
    return type(condition)(condition.styles, condition.source_style, condition.x_src[..., columns])


@torch.no_grad()
def test_samples_of_a_batch_keep_their_own_statistics() -> None:
    net = network()
    x = torch.cat([picture(70, 72, 4), 5 * picture(70, 72, 4)])
    t, velocity = torch.tensor([0.1, 0.6]), tiled_velocity(net, tile=40, halo=16)
    both = velocity(x, t, net.condition(torch.tensor([0, 1]), None, x))
    for row in (0, 1):
        one = slice(row, row + 1)
        condition = net.condition(torch.tensor([row]), None, x[one])
        torch.testing.assert_close(both[one], velocity(x[one], t[one], condition))


@torch.no_grad()
def test_small_latents_are_not_cut() -> None:
    net, x, t = network(), picture(40, 33, 4), torch.tensor([0.5])
    condition = net.condition(torch.tensor([1]), None, x)
    velocity = tiled_velocity(net, tile=40)
    assert torch.equal(velocity(x, t, condition), net.velocity(x, t, condition))

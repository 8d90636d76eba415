"""LGTUNet: the velocity field, conditioned on time, style and source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lgt.errors import InputError
from lgt.nn.blocks import (
    AdaGNBlock,
    DecoderBlock,
    EdgeConv2d,
    EncoderBlock,
    StyleBlock,
    activated,
    group_norm,
)
from lgt.nn.corrector import Corrector
from lgt.nn.embeddings import NULL_STYLE, StyleEmbedding, TimeEmbedding
from lgt.nn.style_conv import StyleHead

STYLE_INJECTIONS = ("dynamic_conv", "adagn")


@dataclass(frozen=True)
class Condition:
    """All that stays the same along one path; made once by :meth:`LGTUNet.condition`."""

    styles: tuple[Tensor, ...]
    """Style parameters of each decoder block, of the head and of the corrector's, if any."""
    source_style: Tensor
    """Embedding `[B, time_dim]` of the source's own style, for the encoder."""
    x_src: Tensor | None
    """Scaled source latents, if the network is conditioned on them."""


def blocks_per_level(num_blocks: int, num_levels: int) -> list[int]:
    """Spread blocks over levels, coarse to fine; what is left over goes to the finest."""
    share, rest = divmod(num_blocks, num_levels)
    return [share + (level >= num_levels - rest) for level in range(num_levels)]


class LGTUNet(nn.Module):
    """Velocity `v(x, t | target style, source)` of latents of any height and width.

    Encoder: plain convolutions, halving the resolution `num_encoder_blocks` times and doubling the
    channels. Bottleneck: one plain block. Decoder: `num_decoder_blocks` style blocks, spread over
    the resolutions from the bottleneck to the finest. Head, if any: small convolutions of the style
    alone, on the state that one step would reach. Corrector, if any: style blocks at full
    resolution that see where the path is and where it leads, and move its end down the energy.
    Sizes that do not divide are padded inside.

    Args:
        latent_channels: Channels of the latents.
        base_channels: Channels at full resolution, a multiple of 8.
        style_dim: Length of a style embedding.
        time_dim: Length of the time embedding, even.
        num_styles: Number of styles; the null style is kept apart.
        num_encoder_blocks: Encoder stages, each ending in a halving.
        num_decoder_blocks: Decoder blocks.
        style_kernel_size: Side of generated kernels, odd.
        style_injection: `dynamic_conv` or `adagn`.
        style_head_channels: Hidden channels of the style's own head; 0: none.
        num_corrector_blocks: Blocks of the corrector; 0: none.
        condition_on_source: Whether the source latent is extra input.
        use_gradient_checkpointing: Recompute blocks in the backward pass.
    """

    added_codes: Tensor
    """Codes `[A, L]` of styles added after training; never part of the state."""

    def __init__(
        self,
        *,
        latent_channels: int = 4,
        base_channels: int = 128,
        style_dim: int = 256,
        time_dim: int = 256,
        num_styles: int = 2,
        num_encoder_blocks: int = 2,
        num_decoder_blocks: int = 3,
        style_kernel_size: int = 3,
        style_injection: str = "dynamic_conv",
        style_head_channels: int = 0,
        num_corrector_blocks: int = 0,
        condition_on_source: bool = True,
        use_gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if style_injection not in STYLE_INJECTIONS:
            raise InputError(
                f"style_injection must be one of {', '.join(STYLE_INJECTIONS)} "
                f"(got '{style_injection}')"
            )
        self.num_styles, self.latent_channels = num_styles, latent_channels
        self.condition_on_source = condition_on_source
        self.use_gradient_checkpointing = use_gradient_checkpointing
        widths = [base_channels * 2**i for i in range(num_encoder_blocks + 1)]
        self.time_embedding = TimeEmbedding(time_dim)
        self.source_style_embedding = StyleEmbedding(num_styles, time_dim)
        self.style_embedding = StyleEmbedding(num_styles, style_dim)
        self.style_dim = style_dim
        self.register_buffer("added_codes", torch.empty(0, style_dim), persistent=False)
        in_channels = latent_channels * (2 if condition_on_source else 1)
        self.conv_in = EdgeConv2d(in_channels, base_channels)
        self.encoder = nn.ModuleList(EncoderBlock(width, time_dim) for width in widths[:-1])
        self.downs = nn.ModuleList(
            EdgeConv2d(a, b, stride=2) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.bottleneck = EncoderBlock(widths[-1], time_dim)

        def style_block(width: int) -> nn.Module:
            if style_injection == "adagn":
                return AdaGNBlock(width, time_dim, style_dim)
            return StyleBlock(width, time_dim, style_dim, style_kernel_size)

        self.decoder = nn.ModuleList()
        self.ups = nn.ModuleList()
        counts = blocks_per_level(num_decoder_blocks, len(widths))
        for level, (width, count) in enumerate(zip(reversed(widths), counts, strict=True)):
            if level:
                self.ups.append(EdgeConv2d(2 * width, width))
            self.decoder.append(nn.ModuleList(style_block(width) for _ in range(count)))
        self.norm_out = group_norm(base_channels)
        self.conv_out = EdgeConv2d(base_channels, latent_channels)
        nn.init.normal_(self.conv_out.weight, std=1e-2 / (3 * base_channels**0.5))
        torch.nn.init.constant_(self.conv_out.bias, 0.0)  # type: ignore[arg-type]
        self.head = (
            StyleHead(latent_channels, style_head_channels, style_dim)
            if style_head_channels
            else None
        )
        self.corrector: Corrector | None = None
        if num_corrector_blocks:
            blocks = [style_block(base_channels) for _ in range(num_corrector_blocks)]
            self.corrector = Corrector(latent_channels, base_channels, blocks)

    def levels(self) -> Iterator[nn.ModuleList]:
        """Yield the decoder's blocks, a list for each resolution, coarse to fine."""
        return (cast(nn.ModuleList, level) for level in self.decoder)

    @property
    def offset_sizes(self) -> list[tuple[int, int]]:
        """Shape of the parameters of each part that a style has, without the batch."""
        blank = self.style_embedding.table.weight.new_zeros(1, self.style_dim)
        with torch.no_grad():
            made = [block.style_parameters(blank) for block in self._style_blocks()]
        return [(m.shape[1], m.shape[2] if m.ndim == 3 else 1) for m in made]

    def add_style(self, code: Float[Tensor, " L"]) -> int:
        """Add a style without touching the others, and return its id.

        Args:
            code: An embedding, followed by offsets of the style parameters of all decoder blocks
                (as many numbers as :attr:`offset_sizes` says).

        Raises:
            InputError: The code has another length.
        """
        expected = self.style_dim + sum(a * b for a, b in self.offset_sizes)
        if len(code) != expected:
            raise InputError(
                f"a style code of this network has {expected} numbers (got {len(code)})"
            )
        rows = [*self.added_codes, code.detach().to(self.added_codes)]
        self.added_codes = torch.stack(rows)
        return self.num_styles + len(self.added_codes) - 1

    def embed(self, style_id: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """Return the code of each style id: its embedding, and offsets where styles were added.

        An added style has id `num_styles` or more. Offsets of the others are zero.
        """
        if not len(self.added_codes):
            own: Tensor = self.style_embedding(style_id)
            return own
        is_added = style_id >= self.num_styles
        own = self.style_embedding(torch.where(is_added, NULL_STYLE, style_id))
        own = F.pad(own, (0, self.added_codes.shape[1] - self.style_dim))
        added = self.added_codes[torch.where(is_added, style_id - self.num_styles, 0)]
        return torch.where(is_added[:, None], added, own)

    def _style_blocks(self) -> list[DecoderBlock | StyleHead]:
        decoder = [cast(DecoderBlock, block) for level in self.levels() for block in level]
        head = [] if self.head is None else [self.head]
        corrector = () if self.corrector is None else self.corrector.blocks
        return [*decoder, *head, *(cast(DecoderBlock, block) for block in corrector)]

    def condition(
        self,
        target_style: Int[Tensor, " B"] | Float[Tensor, "B S"],
        source_style_id: Int[Tensor, " B"] | None = None,
        x_src: Float[Tensor, "B C H W"] | None = None,
    ) -> Condition:
        """Compute what is constant along a path.

        Args:
            target_style: Style to give: ids in [0, num_styles) or `NULL_STYLE`; or codes, as
                :meth:`blend` makes them.
            source_style_id: Style of the source, or `NULL_STYLE`; None: `NULL_STYLE` for all.
            x_src: Scaled source latents; needed if the network was built with
                `condition_on_source`, and refused otherwise.

        Raises:
            InputError: If `x_src` is missing, or given to a network that takes none.
        """
        if (x_src is None) == self.condition_on_source:
            need = "needs x_src" if self.condition_on_source else "takes no x_src"
            raise InputError(
                f"this network {need} (condition_on_source={self.condition_on_source})"
            )
        if source_style_id is None:
            source_style_id = torch.full(
                (len(target_style),), NULL_STYLE, device=target_style.device
            )
        if len(self.added_codes):  # An added style is none that the encoder knows.
            is_known = source_style_id < self.num_styles
            source_style_id = torch.where(is_known, source_style_id, NULL_STYLE)
        code = target_style if target_style.is_floating_point() else self.embed(target_style)
        style = code[:, : self.style_dim].contiguous()
        styles = [block.style_parameters(style) for block in self._style_blocks()]
        if code.shape[1] > self.style_dim:
            sizes = [made[0].numel() for made in styles]
            offsets = torch.split(code[:, self.style_dim :], sizes, dim=1)
            styles = [m + o.reshape(m.shape) for m, o in zip(styles, offsets, strict=True)]
        return Condition(tuple(styles), self.source_style_embedding(source_style_id), x_src)

    def blend(self, weights: Mapping[int, float]) -> Float[Tensor, " L"]:
        """Return the code `sum_i w_i e_i` of a mixture of styles.

        Args:
            weights: Weight of each style id (or `NULL_STYLE`), at least one. A single style of
                weight 1 gives its own embedding, bit for bit.
        """
        ids = torch.tensor(list(weights), device=self.style_embedding.table.weight.device)
        embeddings = self.embed(ids)
        mixed = torch.zeros_like(embeddings[0])
        for weight, embedding in zip(weights.values(), embeddings, strict=True):
            mixed = mixed + weight * embedding
        return mixed

    def velocity(
        self, x: Float[Tensor, "B C H W"], t: Float[Tensor, " B"], condition: Condition
    ) -> Float[Tensor, "B C H W"]:
        """Return the velocity of states `x` at times `t` in [0, 1]."""
        height, width = x.shape[-2:]
        h = x if condition.x_src is None else torch.cat([x, condition.x_src], dim=1)
        multiple = 2 ** len(self.downs)
        if height % multiple or width % multiple:
            h = F.pad(h, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        time = self.time_embedding(t)
        encoder_time, time = activated(time + condition.source_style), activated(time)
        h = self.conv_in(h)
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=True):
            h = self._run(block, h, encoder_time)
            skips.append(h)
            h = down(h)
        h = self._run(self.bottleneck, h, encoder_time)
        styles = iter(condition.styles)
        for level, blocks in enumerate(self.levels()):
            if level:
                h = F.interpolate(h, scale_factor=2.0, mode="nearest")
                h = self.ups[level - 1](h) + skips.pop()
            for block in blocks:
                h = self._run(block, h, time, next(styles))
        out: Tensor = self.conv_out(F.silu(self.norm_out(h)))[..., :height, :width]
        if self.head is not None:
            out = out + self.head(x + out, next(styles))
        if self.corrector is not None:
            out = out + self.corrector(x, x + out, time, list(styles), run=self._run)
        return out

    def forward(
        self,
        x: Float[Tensor, "B C H W"],
        t: Float[Tensor, " B"],
        target_style_id: Int[Tensor, " B"],
        source_style_id: Int[Tensor, " B"] | None = None,
        x_src: Float[Tensor, "B C H W"] | None = None,
    ) -> Float[Tensor, "B C H W"]:
        """Return the velocity for conditions given in full; see :meth:`condition`."""
        return self.velocity(x, t, self.condition(target_style_id, source_style_id, x_src))

    def _run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        if self.use_gradient_checkpointing and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(block, *inputs, use_reentrant=False)
            return recomputed
        out: Tensor = block(*inputs)
        return out

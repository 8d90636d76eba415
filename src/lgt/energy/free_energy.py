"""The free energy of end states: a weighted sum of style, content and guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.energy.bank import StyleBank
from lgt.energy.functional import promoted
from lgt.energy.terms import FeatureSWD, PatchSWD, SelfSimilarity, low_frequency_distance_sq
from lgt.energy.whitening import texture_whitening
from lgt.errors import InputError


@dataclass(frozen=True)
class EnergyWeights:
    """Weights and gains; see `LossConfig` for the meaning of each."""

    w_style: float = 1.0
    w_content: float = 1.0
    texture_gain: float = 1.0
    color_gain: float = 1.0
    feature_gain: float = 0.0
    content_gain: float = 1.0
    w_anchor: float = 0.0
    w_identity: float = 0.0
    vel_reg_weight: float = 0.0


class EnergyTerms(NamedTuple):
    """Batch means of each term.

    `style` and `content` include their gains, so that `total = w_style style + w_content content +
    ...` holds as documented; the others are bare.
    """

    total: Tensor
    style: Tensor
    content: Tensor
    texture: Tensor
    color: Tensor
    feature: Tensor
    anchor: Tensor
    identity: Tensor
    velocity: Tensor

    def as_floats(self) -> dict[str, float]:
        """Return all terms as numbers."""
        return {name: float(value.detach()) for name, value in self._asdict().items()}


class FreeEnergy:
    """`E = w_style * style + w_content * content + guards`, for batches of mixed styles.

    `style = texture_gain * sum of texture scales + color_gain * colour + feature_gain * features`,
    or in raw form the patch distance in place of texture and colour. Each output (or each style's
    outputs together) is compared with works of its own target style, never with a pool of styles.

    Args:
        bank: Works and sources.
        weights: Weights and gains.
        texture: One patch distance per texture scale.
        color: Patch distance of single pooled pixels, or None for the raw form.
        content: Self-similarity distance.
        feature: Distance of learned features, if `feature_gain` is not 0; its references are always
            works drawn at random.
        match_groups: Pool the outputs of one style instead of matching each output.
        assign_texture: Compare textures with works assigned to each source by optimal transport;
            else with works of the style drawn at random.
        assign_palette: The same choice for colours.
        bank_works: Works drawn at random for a reference.
        assigned_works: Works drawn from each source's assignment.
        color_pool: Average-pooling factor of the colour band.
    """

    def __init__(
        self,
        bank: StyleBank,
        weights: EnergyWeights,
        *,
        texture: list[PatchSWD],
        color: PatchSWD | None,
        content: SelfSimilarity,
        feature: FeatureSWD | None = None,
        match_groups: bool = False,
        assign_texture: bool = True,
        assign_palette: bool = True,
        bank_works: int = 8,
        assigned_works: int = 2,
        color_pool: int = 2,
    ) -> None:
        self.bank, self.weights = bank, weights
        self.texture, self.color, self.content = texture, color, content
        self.feature = feature
        self.match_groups = match_groups
        self.assign_texture, self.assign_palette = assign_texture, assign_palette
        self.bank_works, self.assigned_works = bank_works, assigned_works
        self.color_pool = color_pool

    def __call__(
        self,
        x_1: Float[Tensor, "B C H W"],
        x_src: Float[Tensor, "B C H W"],
        target_style_id: Int[Tensor, " B"],
        source_style_id: Int[Tensor, " B"],
        source_index: Int[Tensor, " B"],
        *,
        kinetic: Tensor | None = None,
        generator: Generator | None = None,
    ) -> EnergyTerms:
        """Evaluate all terms in float32.

        Args:
            x_1: End states.
            x_src: Their sources.
            target_style_id: Style whose works each output is compared with.
            source_style_id: Style of each source; the identity term acts where it is the target.
            source_index: Row of each source in the bank, for palette assignment.
            kinetic: Mean squared velocity along the path, if it is to be regularised.
            generator: CPU generator of projections and references.
        """
        with torch.autocast(x_1.device.type, enabled=False):
            x_1, x_src = promoted(x_1), promoted(x_src)
            zero = x_1.new_zeros(())
            texture, color, feature = self._style(x_1, target_style_id, source_index, generator)
            content = self.content(x_1, x_src, generator).mean()
            same = target_style_id == source_style_id
            w = self.weights
            identity = (x_1 - x_src).abs()[same].mean() if w.w_identity and same.any() else zero
            anchor = low_frequency_distance_sq(x_1, x_src).mean() if w.w_anchor else zero
            velocity = zero if kinetic is None else promoted(kinetic)
            style = w.texture_gain * texture + w.color_gain * color + w.feature_gain * feature
            content = w.content_gain * content
            total = (
                w.w_style * style
                + w.w_content * content
                + w.w_anchor * anchor
                + w.w_identity * identity * same.float().mean()
                + w.vel_reg_weight * velocity
            )
        return EnergyTerms(
            total, style, content, texture, color, feature, anchor, identity, velocity
        )

    def _style(
        self, x_1: Tensor, target: Tensor, source_index: Tensor, generator: Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        texture = color = feature = x_1.new_zeros(())
        targets = target.cpu()
        for style_id in sorted(set(targets.tolist())):
            rows = torch.where(targets == style_id)[0]
            x, share = x_1[rows.to(x_1.device)], len(rows) / len(x_1)
            groups = x[None] if self.match_groups else x[:, None]
            drawn, assigned = self._references(style_id, source_index.cpu()[rows], generator)
            reference = assigned if self.assign_texture else drawn
            for term in self.texture:
                texture = texture + share * term(groups, reference, generator).mean()
            if self.color is not None:
                palette = self._pooled(assigned if self.assign_palette else drawn)
                color = color + share * self.color(self._pooled(groups), palette, generator).mean()
            if self.feature is not None:
                feature = feature + share * self.feature(groups, drawn, generator).mean()
        return texture, color, feature

    def _references(
        self, style_id: int, source_index: Tensor, generator: Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return random works `[1, K, ...]`, and those assigned to the sources `[G, K, ...]`."""
        drawn = assigned = self.bank.latents[:0][None]
        if self.feature is not None or not (self.assign_texture and self.assign_palette):
            drawn = self.bank.works(style_id, self.bank_works, generator)[None]
        if self.assign_texture or self.assign_palette:
            assigned = self.bank.assigned_works(
                style_id, source_index, self.assigned_works, generator
            )
            if self.match_groups:
                assigned = assigned.flatten(0, 1)[None]
        return drawn, assigned

    def _pooled(self, groups: Tensor) -> Tensor:
        pooled = F.avg_pool2d(groups.flatten(0, 1), self.color_pool)
        return pooled.reshape(*groups.shape[:2], *pooled.shape[1:])


def build_free_energy(
    bank: StyleBank,
    weights: EnergyWeights,
    *,
    style_bands: str = "split",
    patch_size: int = 3,
    patch_dilations: tuple[int, ...] = (1,),
    num_projections: int = 64,
    max_samples: int = 4096,
    whiten: bool = True,
    content_patch_size: int = 1,
    content_scales: tuple[int, ...] = (1,),
    max_positions: int = 1024,
    content_centered: bool = False,
    match_groups: bool = False,
    assign_texture: bool = True,
    assign_palette: bool = True,
    bank_works: int = 8,
    assigned_works: int = 2,
    statistics_works: int = 64,
    features: Callable[[Tensor], list[Tensor]] | None = None,
    generator: Generator | None = None,
) -> FreeEnergy:
    """Build a :class:`FreeEnergy`, measuring whitening statistics on the bank where it is split.

    Args:
        statistics_works: Works of each style that the whitening statistics are taken over.
        features: Learned features to compare, or None.
        generator: CPU generator of the choice of those works.

    The other arguments are those of :class:`FreeEnergy` and its terms. In `raw` form patches are
    compared as they are, colour and texture together, as the texture term.
    """
    split = style_bands == "split"
    texture = []
    needs_sample = split or features is not None
    sample = bank.balanced(statistics_works, generator) if needs_sample else None
    for dilation in patch_dilations:
        if (patch_size - 1) * dilation + 1 > min(bank.latents.shape[-2:]):
            continue
        transform = (
            texture_whitening(sample, patch_size, dilation, whiten=whiten)
            if sample is not None and split
            else None
        )
        texture.append(
            PatchSWD(
                patch_size=patch_size,
                dilation=dilation,
                num_projections=num_projections,
                max_samples=max_samples,
                transform=transform,
            )
        )
    if not texture:
        height, width = bank.latents.shape[-2:]
        raise InputError(
            f"latents of {height} x {width} are smaller than every patch (patch_size {patch_size}, "
            f"patch_dilations {list(patch_dilations)}); lower these, or use larger images"
        )
    feature = None
    if features is not None and sample is not None:
        feature = FeatureSWD(
            features, sample, num_projections=num_projections, max_samples=max_samples
        )
    color = PatchSWD(patch_size=1, num_projections=num_projections, max_samples=max_samples)
    return FreeEnergy(
        bank,
        weights,
        texture=texture,
        color=color if split else None,
        feature=feature,
        content=SelfSimilarity(
            patch_size=content_patch_size,
            scales=content_scales,
            max_positions=max_positions,
            is_centered=content_centered,
        ),
        match_groups=match_groups,
        assign_texture=assign_texture,
        assign_palette=assign_palette,
        bank_works=bank_works,
        assigned_works=assigned_works,
    )

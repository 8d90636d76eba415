"""The free energy of end states: a weighted sum of style, content and guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.energy.bank import StyleBank
from lgt.energy.collection import CollectionDistance
from lgt.energy.detail import DetailedFeatures
from lgt.energy.features import (
    Features,
    FeatureSWD,
    Maps,
    Window,
    clutter,
    draw_window,
    edge_difference,
    feature_distance,
)
from lgt.energy.functional import promoted
from lgt.energy.terms import PatchSWD, SelfSimilarity, low_frequency_distance_sq
from lgt.errors import InputError


@dataclass(frozen=True)
class EnergyWeights:
    """Weights and gains; see `LossConfig` for the meaning of each."""

    w_style: float = 1.0
    w_content: float = 1.0
    texture_gain: float = 1.0
    color_gain: float = 1.0
    feature_gain: float = 0.0
    collection_gain: float = 0.0
    discriminant_gain: float = 0.0
    recognition_gain: float = 0.0
    content_gain: float = 1.0
    feature_content_gain: float = 0.0
    edge_gain: float = 0.0
    outline_gain: float = 0.0
    clutter_gain: float = 0.0
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
    perceptual: Tensor
    anchor: Tensor
    identity: Tensor
    velocity: Tensor
    collection: Tensor
    discriminant: Tensor
    recognition: Tensor
    edges: Tensor
    outlines: Tensor
    clutter: Tensor

    def as_floats(self) -> dict[str, float]:
        """Return all terms as numbers."""
        return {name: float(value.detach()) for name, value in self._asdict().items()}


class ContentDifferences(NamedTuple):
    """What outputs have lost of their sources, batch means."""

    perceptual: Tensor
    edges: Tensor
    outlines: Tensor
    clutter: Tensor


class FreeEnergy:
    """`E = w_style * style + w_content * content + guards`, for batches of mixed styles.

    `style = texture_gain * sum of texture scales + color_gain * colour + feature_gain * features +
    collection_gain * collection + discriminant_gain * discriminant + recognition_gain *
    recognition`, or in raw form the patch
    distance in place of texture and colour; `content = content_gain * self-similarity +
    feature_content_gain * feature distance + edge_gain * edge difference + outline_gain * outline
    difference + clutter_gain * clutter`. Each output (or each
    style's outputs together) is compared with works of its own target style, never with a pool of
    styles. An output whose target is its source's own style has nothing to gain in
    style: where the identity term is on, it alone acts there.

    Args:
        bank: Works and sources.
        weights: Weights and gains.
        texture: One patch distance per texture scale; empty if its gain is 0.
        color: Patch distance of single pooled pixels, or None for the raw form.
        content: Self-similarity distance.
        features: Maps latents to feature maps, if a feature gain is not 0.
        feature: Distance of feature distributions, if `feature_gain` is not 0.
        collection: Distance of all outputs of a style to its works, if one of its gains is not 0.
        match_groups: Pool the outputs of one style instead of matching each output.
        assign_texture: Compare textures with works assigned to each source by optimal transport;
            else with works of the style drawn at random.
        assign_palette: The same choice for colours.
        assign_features: The same choice for features.
        bank_works: Works drawn at random for a reference.
        assigned_works: Works drawn from each source's assignment.
        color_pool: Average-pooling factor of the colour band.
        feature_crop: Side of the random square, in latent positions, that features are taken of;
            0 is the whole.
        content_factors: Factor of the content energy for each target style `[K]`; None: 1 for all.
        detail: Gives back what the codec loses of the photo before features are taken, or None.
    """

    def __init__(
        self,
        bank: StyleBank,
        weights: EnergyWeights,
        *,
        texture: list[PatchSWD],
        color: PatchSWD | None,
        content: SelfSimilarity,
        features: Features | None = None,
        feature: FeatureSWD | None = None,
        collection: CollectionDistance | None = None,
        match_groups: bool = False,
        assign_texture: bool = True,
        assign_palette: bool = True,
        assign_features: bool = True,
        bank_works: int = 8,
        assigned_works: int = 2,
        color_pool: int = 2,
        feature_crop: int = 0,
        content_factors: Float[Tensor, " K"] | None = None,
        detail: DetailedFeatures | None = None,
    ) -> None:
        self.content_factors = content_factors
        self.feature_crop, self.detail = feature_crop, detail
        self.bank, self.weights = bank, weights
        self.texture, self.color, self.content = texture, color, content
        self.features, self.feature, self.collection = features, feature, collection
        self.match_groups = match_groups
        self.assign_texture, self.assign_palette = assign_texture, assign_palette
        self.assign_features = assign_features
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
        w = self.weights
        same = target_style_id == source_style_id
        # Where the identity acts nothing else is looked at.
        styled = torch.where(~same.cpu() if w.w_identity else torch.ones(len(same)).bool())[0]
        share, here = len(styled) / len(same), styled.to(x_1.device)
        window = draw_window(self.feature_crop, generator, *x_1.shape[-2:])
        index = source_index.cpu()[styled]
        kept = self._content_factors(target_style_id).to(x_1.device)
        maps, differences = self._feature_maps(x_1[here], x_src[here], index, window, kept[here])
        x_1, x_src = promoted(x_1), promoted(x_src)
        zero = x_1.new_zeros(())
        targets = target_style_id.cpu()[styled]
        texture, color, feature = self._style(x_1[here], maps, targets, index, generator)
        collection = discriminant = recognition = zero
        if self.collection is not None and len(styled):
            collection, discriminant, recognition = self.collection(maps, targets)
        texture, color, feature = (share * part for part in (texture, color, feature))
        collection, discriminant, recognition = (
            share * part for part in (collection, discriminant, recognition)
        )
        perceptual, edges, outlines, crowded = (share * part for part in differences)
        similarity = zero
        if w.content_gain or not self._compares_features:
            similarity = (kept * self.content(x_1, x_src, generator)).mean()
        identity = (x_1 - x_src).abs()[same].mean() if w.w_identity and same.any() else zero
        anchor = low_frequency_distance_sq(x_1, x_src).mean() if w.w_anchor else zero
        velocity = zero if kinetic is None else promoted(kinetic)
        style = (
            w.texture_gain * texture
            + w.color_gain * color
            + w.feature_gain * feature
            + w.collection_gain * collection
            + w.discriminant_gain * discriminant
            + w.recognition_gain * recognition
        )
        content = (
            w.content_gain * similarity
            + w.feature_content_gain * perceptual
            + w.edge_gain * edges
            + w.outline_gain * outlines
            + w.clutter_gain * crowded
        )
        total = (
            w.w_style * style
            + w.w_content * content
            + w.w_anchor * anchor
            + w.w_identity * identity * same.float().mean()
            + w.vel_reg_weight * velocity
        )
        return EnergyTerms(
            total,
            style,
            content,
            texture,
            color,
            feature,
            perceptual,
            anchor,
            identity,
            velocity,
            collection,
            discriminant,
            recognition,
            edges,
            outlines,
            crowded,
        )

    @property
    def _compares_features(self) -> bool:
        """Whether the content energy compares features or edges with the source's."""
        w = self.weights
        return bool(w.feature_content_gain or w.edge_gain or w.outline_gain or w.clutter_gain)

    def _content_factors(self, targets: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        if self.content_factors is None:
            return torch.ones(len(targets))
        return self.content_factors[targets.cpu()]

    def _feature_maps(
        self, x_1: Tensor, x_src: Tensor, index: Tensor, window: Window, factors: Tensor
    ) -> tuple[list[Tensor], ContentDifferences]:
        """Return the outputs' style maps and, weighted by `factors`, the content differences.

        Runs under the caller's autocast: the feature network is as heavy as the velocity field.
        """
        zero = promoted(x_1).new_zeros(())
        if self.features is None or not len(x_1):
            return [], ContentDifferences(zero, zero, zero, zero)
        x_1, x_src = window.of(x_1), window.of(x_src)
        source_maps: Maps | None = None
        if self.detail is not None:
            maps, source_maps = self.detail(x_1, x_src, index, window)
        else:
            maps = self.features(x_1)
            if self._compares_features:
                with torch.no_grad():
                    source_maps = self.features(x_src)
        if not self._compares_features or source_maps is None:
            return maps.style, ContentDifferences(zero, zero, zero, zero)
        return maps.style, self._content_differences(maps, source_maps, factors)

    def _content_differences(
        self, maps: Maps, source_maps: Maps, factors: Float[Tensor, " B"]
    ) -> ContentDifferences:
        """Return mean differences; those of no gain are 0."""
        perceptual = edges = outlines = crowded = factors.new_zeros(())
        w = self.weights
        if w.feature_content_gain:
            distance = feature_distance(maps.content, source_maps.content)
            perceptual = (factors * distance).mean()
        if w.edge_gain:
            pair = _seen("edge_gain", maps.edges, source_maps.edges)
            edges = (factors * edge_difference(*pair)).mean()
        if w.outline_gain:
            pair = _seen("outline_gain", maps.outlines, source_maps.outlines)
            outlines = (factors * edge_difference(*pair)).mean()
        if w.clutter_gain:
            pair = _seen("clutter_gain", maps.slopes, source_maps.slopes)
            crowded = clutter(*pair).mean()
        return ContentDifferences(perceptual, edges, outlines, crowded)

    def _style(
        self,
        x_1: Tensor,
        maps: list[Tensor],
        targets: Tensor,
        source_index: Tensor,
        generator: Generator | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean texture, colour and feature distances."""
        texture = color = feature = x_1.new_zeros(())
        for style_id in sorted(set(targets.tolist())):
            rows = torch.where(targets == style_id)[0]
            here = rows.to(x_1.device)
            groups, share = self._grouped(x_1[here]), len(rows) / len(x_1)
            drawn, assigned = self._references(style_id, source_index[rows], generator)
            if self.texture:
                works = self.bank.take(assigned if self.assign_texture else drawn)
            for term in self.texture:
                texture = texture + share * term(groups, works, generator).mean()
            if self.color is not None:
                works = self.bank.take(assigned if self.assign_palette else drawn)
                distance = self.color(self._pooled(groups), self._pooled(works), generator)
                color = color + share * distance.mean()
            if self.feature is not None:
                of_style = [self._side_by_side(m[here]) for m in maps]
                reference = assigned if self.assign_features else drawn
                feature = feature + share * self.feature(of_style, reference, generator).mean()
        return texture, color, feature

    def _grouped(self, x: Tensor) -> Float[Tensor, "G B C H W"]:
        return x[None] if self.match_groups else x[:, None]

    def _side_by_side(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "G C h W"]:
        """Lay maps that are pooled side by side."""
        return torch.cat(list(x), dim=-1)[None] if self.match_groups else x

    def _references(
        self, style_id: int, source_index: Tensor, generator: Generator | None
    ) -> tuple[Int[Tensor, "1 _"], Int[Tensor, "_ _"]]:
        """Return rows `[1, K]` of random works, and `[G, K]` of those assigned to the sources."""
        drawn = assigned = torch.empty(1, 0, dtype=torch.int64)
        choices = [self.assign_texture, self.assign_palette]
        if self.feature is not None:
            choices.append(self.assign_features)
        if not all(choices):
            drawn = self.bank.rows(style_id, self.bank_works, generator)[None]
        if any(choices):
            assigned = self.bank.assigned_rows(
                style_id, source_index, self.assigned_works, generator
            )
            if self.match_groups:
                assigned = assigned.flatten()[None]
        return drawn, assigned

    def _pooled(self, groups: Tensor) -> Tensor:
        pooled = F.avg_pool2d(groups.flatten(0, 1), self.color_pool)
        return pooled.reshape(*groups.shape[:2], *pooled.shape[1:])


def _seen(key: str, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Tensor]:
    if x is None or y is None:
        raise InputError(
            f"loss.{key}: only loss.perceptual_network=decoded sees edges; set that, or {key} to 0"
        )
    return x, y

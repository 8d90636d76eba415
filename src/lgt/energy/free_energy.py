"""The free energy of end states: a list of terms that name, weigh and measure themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from lgt.device import sent
from lgt.energy.detail import DetailedFeatures, Place
from lgt.energy.features import Features, draw_window
from lgt.energy.functional import promoted
from lgt.energy.state import EnergyTerms, State, Term, View, rows_styled

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Look:
    """How outputs and sources are looked at.

    Args:
        features: Maps latents to feature maps; None: nothing is looked at.
        crop: Side of the random square, in latent positions, that is looked at; 0 is the whole.
        detail: Gives back what the codec loses of the photo before, or None.
        sources: Maps the latents of sources to what is kept of them; None: they are not looked at.
    """

    features: Features | None = None
    crop: int = 0
    detail: DetailedFeatures | None = None
    sources: Features | None = None

    def __call__(
        self, x_1: Tensor, x_src: Tensor, place: Place, generator: Generator | None
    ) -> View:
        """Return the maps of outputs, and of their sources, which `place` finds in the data.

        Runs under the caller's autocast: the feature network is as heavy as the velocity field.
        """
        window = draw_window(self.crop, generator, *x_1.shape[-2:])
        if self.features is None or not len(x_1):
            return View()
        x_1, x_src = window.of(x_1), window.of(x_src)
        if self.detail is not None:
            return View(*self.detail(x_1, x_src, place.within(window)))
        maps = self.features(x_1)
        if self.sources is None:
            return View(maps)
        with torch.no_grad():
            return View(maps, self.sources(x_src))


class FreeEnergy:
    """`E = w_style * style + w_content * content + guards`, for batches of mixed styles.

    Style and content are sums of their terms' values times their gains; guards have weights of
    their own. An output whose target is its source's own style has nothing to gain in style: where
    `spares_own` is set, guards alone act there.

    Args:
        terms: What is summed, in the order in which random numbers are drawn.
        w_style: Weight of the style energy.
        w_content: Weight of the content energy.
        look: How terms see outputs and sources.
        spares_own: Leave outputs of their source's own style out of style and of what is seen.
        content_factors: Factor of the content energy for each target style `[K]`; None: 1 for all.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        *,
        w_style: float = 1.0,
        w_content: float = 1.0,
        look: Look | None = None,
        spares_own: bool = False,
        content_factors: Float[Tensor, " K"] | None = None,
    ) -> None:
        self.terms, self.look = tuple(terms), look or Look()
        self.w_style, self.w_content = w_style, w_content
        self.spares_own, self.content_factors = spares_own, content_factors

    def term(self, kind: type[Kind]) -> Kind | None:
        """Return the term of a kind, or None."""
        return next((term for term in self.terms if isinstance(term, kind)), None)

    def weighs(self, name: str) -> bool:
        """Tell whether a value, by its name in the log, counts."""
        return any(term.gains.get(name) for term in self.terms)

    def __call__(
        self,
        x_1: Float[Tensor, "B C H W"],
        x_src: Float[Tensor, "B C H W"],
        target_style_id: Int[Tensor, " B"],
        source_style_id: Int[Tensor, " B"],
        source_index: Int[Tensor, " B"],
        *,
        source_corner: Int[Tensor, "B 2"] | None = None,
        kinetic: Tensor | None = None,
        generator: Generator | None = None,
    ) -> EnergyTerms:
        """Evaluate all terms in float32.

        Args:
            x_1: End states.
            x_src: Their sources.
            target_style_id: Style whose works each output is compared with.
            source_style_id: Style of each source.
            source_index: Row of each source in the bank, for assignments.
            source_corner: Row and column of each source in the latents of the bank, where it is a
                window of these; None: (0, 0).
            kinetic: Mean squared velocity along the path, if it is to be regularised.
            generator: CPU generator of projections and references.
        """
        targets = target_style_id.cpu()
        is_own = targets == source_style_id.cpu()
        if source_corner is None:
            source_corner = torch.zeros(len(targets), 2, dtype=torch.int64)
        styled = rows_styled(is_own, spares_own=self.spares_own)
        here, index = sent(styled, x_1.device), source_index.cpu()[styled]
        state = State(
            view=self.look(
                x_1.index_select(0, here),
                x_src.index_select(0, here),
                Place(index, source_corner.cpu()[styled]),
                generator,
            ),
            x_1=promoted(x_1),
            x_src=promoted(x_src),
            is_own=is_own,
            kept=sent(self._content_factors(targets), x_1.device),
            styled=styled,
            targets=targets[styled],
            source_index=index,
            kinetic=kinetic,
            generator=generator,
        )
        return self._sum(state)

    def _sum(self, state: State) -> EnergyTerms:
        style, content, guards = state.zero, state.zero, []
        values: dict[str, Tensor] = {}
        for term in self.terms:
            for name, (mean, share) in term(state).items():
                values[name] = mean
                counted = term.gains[name] * mean * share
                if term.part == "style":
                    style = style + counted
                elif term.part == "content":
                    content = content + counted
                else:
                    guards.append(counted)
        total = self.w_style * style + self.w_content * content
        for guard in guards:
            total = total + guard
        return EnergyTerms(total, style, content, values)

    def _content_factors(self, targets: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        if self.content_factors is None:
            return torch.ones(len(targets))
        return self.content_factors[targets]

"""Content: what of a source is still there, in its self-similarity and in what a network sees."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lgt.energy.features import clutter, edge_difference, feature_distance
from lgt.energy.state import Part, State, Value
from lgt.energy.terms import SelfSimilarity
from lgt.errors import InputError


class Topology:
    """Self-similarity of each output against its source's.

    Args:
        distance: The distance.
        gain: Its factor.
    """

    part: Part = "content"

    def __init__(self, distance: SelfSimilarity, gain: float) -> None:
        self.distance, self.gains = distance, {"similarity": gain}

    def __call__(self, state: State) -> dict[str, Value]:
        """Return the mean distance, each output counting by its factor."""
        distance = self.distance(state.x_1, state.x_src, state.generator)
        return {"similarity": Value((state.kept * distance).mean())}


class SeenContent:
    """What a network sees of outputs that are styled, against what it sees of their sources.

    Args:
        gains: Factors of `perceptual` (feature distance), `edges` and `outlines` (edge differences
            at two sizes) and `clutter` (shapes that the source has not).
    """

    part: Part = "content"

    def __init__(self, gains: Mapping[str, float]) -> None:
        self.gains = {name: gain for name, gain in gains.items() if gain}

    def __call__(self, state: State) -> dict[str, Value]:
        """Return mean differences of what has a gain.

        Raises:
            InputError: The network does not see edges.
        """
        means = dict.fromkeys(self.gains, state.zero)
        maps, source = state.view
        if maps is not None and source is not None:
            kept = state.kept.index_select(0, state.here)
            for name in means:
                if name == "perceptual":
                    distance = feature_distance(maps.content, source.content)
                    means[name] = (kept * distance).mean()
                elif name == "clutter":
                    means[name] = clutter(*_seen(name, maps.slopes, source.slopes)).mean()
                else:
                    pair = _seen(name, getattr(maps, name), getattr(source, name))
                    means[name] = (kept * edge_difference(*pair)).mean()
        return {name: Value(state.share * mean) for name, mean in means.items()}


_KEYS = {"edges": "edge_gain", "outlines": "outline_gain", "clutter": "clutter_gain"}


def _seen(name: str, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Tensor]:
    if x is None or y is None:
        key = _KEYS[name]
        raise InputError(
            f"loss.{key}: only loss.perceptual_network=decoded sees edges; set that, or {key} to 0"
        )
    return x, y

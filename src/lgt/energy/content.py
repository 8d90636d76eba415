"""Content: what of a source is still there, in its self-similarity and in what a network sees."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lgt.energy.features import (
    Maps,
    clutter,
    edge_difference,
    feature_distance,
    structure_difference,
)
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
            at two sizes), `clutter` (shapes that the source has not) and `structure`.
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
                else:
                    distance = _DIFFERENCES[name](*_seen(name, maps, source))
                # What a source has not is clutter in every style.
                means[name] = (distance if name == "clutter" else kept * distance).mean()
        return {name: Value(state.share * mean) for name, mean in means.items()}


_DIFFERENCES = {
    "edges": edge_difference,
    "outlines": edge_difference,
    "clutter": clutter,
    "structure": structure_difference,
}
_LOOKS = {"clutter": "slopes", "structure": "shades"}
"""The maps that are compared, where they have another name."""
_KEYS = {"edges": "edge_gain", "outlines": "outline_gain", "clutter": "clutter_gain"}


def _seen(name: str, *maps: Maps) -> list[Tensor]:
    found = [getattr(seen, _LOOKS.get(name, name)) for seen in maps]
    if any(look is None for look in found):
        key = _KEYS[name]
        raise InputError(
            f"loss.{key}: only loss.perceptual_network=decoded sees edges; set that, or {key} to 0"
        )
    return found

"""Guards: what an output may not do, whatever its style and content say."""

from __future__ import annotations

import torch

from lgt.device import sent
from lgt.energy.functional import promoted
from lgt.energy.state import Part, State, Value


class Identity:
    """`|x_1 - x_src|` where the target is the source's own style: there is nothing to change.

    Args:
        weight: Its weight.
    """

    part: Part = "guard"

    def __init__(self, weight: float) -> None:
        self.gains = {"identity": weight}

    def __call__(self, state: State) -> dict[str, Value]:
        """Return the mean over these outputs."""
        own, mean = torch.where(state.is_own)[0], state.zero
        if len(own):
            rows = sent(own, state.x_1.device)
            mean = (state.x_1 - state.x_src).index_select(0, rows).abs().mean()
        return {"identity": Value(mean, len(own) / len(state.is_own))}


class Kinetic:
    """Mean squared velocity along the path, where it is given.

    Args:
        weight: Its weight.
    """

    part: Part = "guard"

    def __init__(self, weight: float) -> None:
        self.gains = {"velocity": weight}

    def __call__(self, state: State) -> dict[str, Value]:
        """Return it, in float32."""
        return {} if state.kinetic is None else {"velocity": Value(promoted(state.kinetic))}

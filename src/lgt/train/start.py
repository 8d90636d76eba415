"""The weights that a run starts with, where they are another model's."""

from __future__ import annotations

from lgt.config.schema import Config
from lgt.errors import CheckpointError
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import LGTUNet

_BEGIN_AS_NOTHING = {"style_head_channels": "head", "num_corrector_blocks": "corrector"}
"""Parts that any model can be given, by the key of `model` that asks for them."""


def start_with(network: LGTUNet, config: Config) -> None:
    """Give a network the weights of the model that `training.init_from` names.

    A run without corrector begins without that of the model, if it has one.

    Raises:
        CheckpointError: There is no such model, or its `model` section is another.
    """
    source = config.training.init_from
    given = Checkpoint.load(find_model(source))
    there, weights = given.config.model, given.inference_weights
    if there.num_corrector_blocks and not config.model.num_corrector_blocks:
        # It was taught for weights that are now to change.
        there = there.model_copy(update={"num_corrector_blocks": 0})
        weights = {k: v for k, v in weights.items() if not k.startswith("corrector.")}
    for key, part in _BEGIN_AS_NOTHING.items():
        if not getattr(there, key):
            there = there.model_copy(update={key: getattr(config.model, key)})
            own = network.state_dict().items()
            weights |= {name: value for name, value in own if name.startswith(f"{part}.")}
    if there != config.model:
        raise CheckpointError(
            f"training.init_from: {source}: its `model` section differs from this run's; "
            f"there: {given.config.model}, here: {config.model}"
        )
    network.load_state_dict(weights)

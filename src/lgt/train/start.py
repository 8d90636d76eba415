"""The weights that a run starts with, where they are another model's."""

from __future__ import annotations

from lgt.config.schema import Config
from lgt.errors import CheckpointError
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import LGTUNet


def start_with(network: LGTUNet, config: Config) -> None:
    """Give a network the weights of the model that `training.init_from` names.

    Raises:
        CheckpointError: There is no such model, or its `model` section is another.
    """
    source = config.training.init_from
    given = Checkpoint.load(find_model(source))
    there = given.config.model
    if not there.style_head_channels:  # A head begins as 0: any model can be given one.
        there = there.model_copy(update={"style_head_channels": config.model.style_head_channels})
    if there != config.model:
        raise CheckpointError(
            f"training.init_from: {source}: its `model` section differs from this run's; "
            f"there: {given.config.model}, here: {config.model}"
        )
    weights = given.inference_weights
    if network.head is not None and not given.config.model.style_head_channels:
        weights |= {f"head.{name}": value for name, value in network.head.state_dict().items()}
    network.load_state_dict(weights)

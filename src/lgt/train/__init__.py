"""Training: objective, loop, checkpoints, log."""

from lgt.train.checkpoint import Checkpoint
from lgt.train.loop import Trainer
from lgt.train.objective import FlowMatchingObjective, FreeEnergyObjective, build_objective

__all__ = [
    "Checkpoint",
    "FlowMatchingObjective",
    "FreeEnergyObjective",
    "Trainer",
    "build_objective",
]

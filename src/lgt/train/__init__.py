"""Training: objective, loop, checkpoints, log.

Names are imported on first use (PEP 562): a checkpoint is read without what only training needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lgt.model.checkpoint import Checkpoint
    from lgt.train.loop import Trainer
    from lgt.train.objective import FlowMatchingObjective, FreeEnergyObjective, build_objective

_HOME_OF = {
    "Checkpoint": "lgt.model.checkpoint",
    "FlowMatchingObjective": "lgt.train.objective",
    "FreeEnergyObjective": "lgt.train.objective",
    "Trainer": "lgt.train.loop",
    "build_objective": "lgt.train.objective",
}

__all__ = [
    "Checkpoint",
    "FlowMatchingObjective",
    "FreeEnergyObjective",
    "Trainer",
    "build_objective",
]


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lgt.train' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value

"""What scripts that train a corrector alone share: the networks, the photos, and the loop."""

from __future__ import annotations

import argparse
import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from lgt.energy.processes import num_processes
from lgt.errors import InputError
from lgt.files import refuse_unwritable
from lgt.image import to_pixels
from lgt.inference import LGTInference
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import find_model
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.unet import Condition
from lgt.paint.engine import Pixels
from lgt.paint.refine import Refiner
from lgt.paint.torch_engine import TorchEngine
from teach_corrector import ignore, pictures_of, square_of
from teaching import Teaching

ON_PATH, TIMES = 0.3, (0.25, 0.5, 0.75)
"""Share of pictures that start on the path, and where."""
WARMUP, DECAY = 15, 0.98


class Pictures(ABC):
    """Squares of photos, painted with a corrector and without; what a script asks of them.

    Args:
        words: The command line: `model`, `photos` and `seed`.

    Raises:
        LGTError: The model or the photos can not be read, or the model has no corrector or no
            works.
    """

    asked = "loss"
    """What :meth:`learn` returns, in a word."""

    def __init__(self, words: argparse.Namespace) -> None:
        lgt = LGTInference(words.model, "cpu")
        self.network = lgt.network.train().requires_grad_(False)
        if self.network.corrector is None:
            raise InputError(f"{words.model}: has no corrector; see scripts/teach_corrector.py")
        self.base = copy.deepcopy(self.network).eval()
        self.base.corrector = None
        self.corrector = self.network.corrector.requires_grad_(True)
        self.lgt, self.seed = lgt, words.seed
        self.refiner = Refiner(lgt)
        self.own = self.refiner.origin
        self.engine = TorchEngine(lgt, lgt.load_codec())
        self.photos = pictures_of(words.photos)

    @abstractmethod
    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and what is asked of it.

        Args:
            number: Of the picture, which decides its style and all else.
            share: Weight of the gradients.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what a stopped run needs beside weights: nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with it."""
        del state

    def square(self, number: int) -> tuple[Pixels, int, Tensor]:
        """Return a square of a photo, the short side of the whole, and the square's latents."""
        square, whole = square_of(self.photos, self.seed * 10**6 + number)
        pixels = to_pixels(square)
        with torch.inference_mode():
            x_src = self.engine.encode(pixels, None, ignore)
        return pixels, whole, x_src.clone()

    def condition(self, style: int, x_src: Tensor) -> Condition:
        """Return the condition of one photo whose own style is not named."""
        given = x_src if self.network.condition_on_source else None
        return self.network.condition(torch.tensor([style]), torch.tensor([NULL_STYLE]), given)


@torch.no_grad()
def start_of(
    network: LGTUNet, x_src: Tensor, condition: Condition, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return a state and its time: the source, or where one step of a network leads on its way."""
    x, t = x_src, torch.zeros(1)
    if float(torch.rand((), generator=generator)) < ON_PATH:
        later = TIMES[int(torch.randint(len(TIMES), (), generator=generator))]
        x = x_src + later * network.velocity(x_src, t, condition).float()
        t = torch.full((1,), later)
    return x, t


def correct(words: argparse.Namespace, made: Callable[[argparse.Namespace], Pictures]) -> None:
    """Train a corrector by pictures, in one process or several, and write the checkpoint.

    Args:
        words: The command line: `model`, `out`, `steps`, `batch`, `lr`, and what the pictures take.
        made: Makes the pictures of a command line.

    Raises:
        LGTError: A file can not be read or written, or the model has no corrector or no works.
    """
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    count = num_processes()
    rank = dist.get_rank() if count > 1 else 0
    refuse_unwritable(words.out.parent)
    pictures, means = made(words), dict[int, float]()
    teaching = Teaching(
        Checkpoint.load(find_model(words.model)),
        pictures.network,
        words,
        part=pictures.corrector,
        beside=pictures,
        warmup=WARMUP,
        decay=DECAY,
    )
    for step in teaching:
        for index in range(words.batch):
            number = (step * count + rank) * words.batch + index
            style, value = pictures.learn(number, 1 / (words.batch * count))
            means[style] = value + 0.9 * (means.get(style, value) - value)
        teaching.told = f"{pictures.asked} {sum(means.values()) / len(means):.4g}"
    if count > 1:
        dist.destroy_process_group()

"""Teach the corrector behind a trained network alone: squares of photos, and what is asked of them.

All other weights stay as they are, see :mod:`lgt.nn.corrector`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from lgt.build import build_network
from lgt.config import Config
from lgt.errors import InputError
from lgt.image import to_pixels
from lgt.model.checkpoint import Checkpoint
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.nn.corrector import Corrector
from lgt.nn.unet import Condition
from lgt.paint.engine import Pixels
from lgt.paint.torch_engine import TorchEngine
from lgt.paint.transfer import LGTInference
from lgt.train.squares import PhotoSquares
from lgt.train.teaching import Lessons, Standing, Teacher, Teaching, as_checkpoint, follow

ON_PATH, TIMES = 0.3, (0.25, 0.5, 0.75)
"""Share of pictures that start on the path, and where."""


class CorrectorTeacher(Teacher):
    """What a corrector learns from."""

    network: LGTUNet
    corrector: Corrector
    """The network's, whose weights alone learn."""


class Pictures(Teacher):
    """Squares of photos, which a model paints that stays as it is.

    Args:
        lgt: The model.
        squares: Of photos.
        seed: Decides all that is drawn.
    """

    def __init__(self, lgt: LGTInference, squares: PhotoSquares, seed: int) -> None:
        self.lgt, self.squares, self.seed = lgt, squares, seed
        self.device = lgt.device
        self.network = lgt.network.requires_grad_(False)
        self.base = without_corrector(self.network)
        self.refiner = lgt.refiner
        self.own = self.refiner.origin
        self.engine = TorchEngine(lgt, lgt.load_codec())

    def square(self, number: int) -> tuple[Pixels, int, Tensor]:
        """Return a square of a photo, the short side of the whole, and the square's latents."""
        square, whole = self.squares.square(self.seed * 10**6 + number)
        pixels = to_pixels(square)
        with torch.inference_mode():
            x_src = self.engine.encode(pixels, None, lambda _: None)
        return pixels, whole, x_src.clone()

    def condition(self, style: int, x_src: Tensor, source: int = NULL_STYLE) -> Condition:
        """Return the condition of one photo, whose own style may be named."""
        given = x_src if self.network.condition_on_source else None
        target, own = torch.tensor([[style], [source]], device=self.device)
        return self.network.condition(target, own, given)


class CorrectedPictures(Pictures, CorrectorTeacher):
    """The same, with a corrector that is taught from now on.

    Args:
        lgt: A model with a corrector.
        squares: Of photos.
        seed: Decides all that is drawn.

    Raises:
        InputError: The model has no corrector.
    """

    def __init__(self, lgt: LGTInference, squares: PhotoSquares, seed: int) -> None:
        if lgt.network.corrector is None:
            raise InputError(f"{lgt.model_name}: has no corrector; see `lgt polish`")
        super().__init__(lgt, squares, seed)
        self.network.train()
        self.corrector = lgt.network.corrector.requires_grad_(True)


def styles_of(wish: str | None, lgt: LGTInference) -> list[str]:
    """Return the styles that are wished, by commas, or all that are painted.

    Raises:
        InputError: There is no such style, or it is not the model's own.
    """
    if wish is not None:
        names = [part.strip() for part in wish.split(",") if part.strip()]
        if not names:
            raise InputError(f"'{wish}' names no style")
        return [own_style(name, lgt) for name in names]
    own = lgt.style_names[: lgt.config.model.num_styles]
    return [name for name in lgt.painted_styles if name in own]


def own_style(name: str, lgt: LGTInference) -> str:
    """Return the full name of one of the model's own styles.

    Raises:
        InputError: There is no such style, or it was added to the model.
    """
    number = lgt.style_id(name)
    if number >= lgt.config.model.num_styles:
        raise InputError(
            f"style '{name}' was added to the model, whose weights change now: it would have to be "
            "learned again with `lgt add-style`. Leave it out"
        )
    return lgt.style_names[number]


def factors_of(said: str, lgt: LGTInference, option: str) -> dict[str, float]:
    """Read `style=factor,...`.

    Args:
        said: The text; empty: no style.
        lgt: The model.
        option: Where it was said.

    Raises:
        InputError: It is not of that form, or there is no such style.
    """
    found = {}
    for part in filter(None, said.split(",")):
        name, _, factor = part.partition("=")
        try:
            value = float(factor)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise InputError(
                f"{option}: '{part}' is not STYLE=FACTOR with a factor of at least 0, such as "
                "monet=0.5"
            )
        found[own_style(name.strip(), lgt)] = value
    return found


def give_corrector(lgt: LGTInference, blocks: int) -> None:
    """Give a model a corrector that changes nothing yet, if it has none."""
    if lgt.network.corrector is not None:
        return
    lgt.config = with_corrector(lgt.config, blocks)
    network = build_network(lgt.config)
    network.load_state_dict(lgt.network.state_dict(), strict=False)
    lgt.network = network.eval().to(lgt.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def with_corrector(config: Config, blocks: int) -> Config:
    """Return the configuration with a corrector, if it has none."""
    if config.model.num_corrector_blocks:
        return config
    model = config.model.model_copy(update={"num_corrector_blocks": blocks})
    return config.model_copy(update={"model": model})


def without_corrector(network: LGTUNet) -> LGTUNet:
    """Return a copy that paints as the network does without its corrector."""
    base = copy.deepcopy(network).eval()
    base.corrector = None
    return base


@torch.no_grad()
def start_of(
    network: LGTUNet, x_src: Tensor, condition: Condition, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return a state and its time: the source, or where one step of a network leads on its way."""
    x, t = x_src, x_src.new_zeros(1)
    if float(torch.rand((), generator=generator)) < ON_PATH:
        later = TIMES[int(torch.randint(len(TIMES), (), generator=generator))]
        x = x_src + later * network.velocity(x_src, t, condition).float()
        t = torch.full_like(t, later)
    return x, t


def correct(
    checkpoint: Checkpoint,
    teacher: CorrectorTeacher,
    lessons: Lessons,
    batch: int,
    *,
    report: Callable[[Standing], None],
    say: Callable[[str], None],
    saved: Callable[[], None] = lambda: None,
) -> bool:
    """Teach a corrector, in one process or several, and write the checkpoint.

    Args:
        checkpoint: Of the model, before it had a corrector or since.
        teacher: What is learned from.
        lessons: How long and how fast.
        batch: Pictures a step and process.
        report: Is told after each step.
        say: Is told whether an earlier run goes on.
        saved: Is called before the first step, while the model is as it was given, and when the
            checkpoint was written, while the model has what this holds.

    Returns:
        Whether it was not interrupted.

    Raises:
        LGTError: A file can not be read or written.
    """
    teaching = Teaching(
        teacher.network,
        lessons,
        as_checkpoint(checkpoint, lessons.out),
        part=teacher.corrector,
        beside=teacher,
        report=report,
        saved=saved,
    )
    return follow(teaching, teacher, batch, say)

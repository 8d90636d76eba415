"""Copy: a new corrector begins with where descents of single pictures end.

A descent (`lgt transfer --refine`) of a square takes ten seconds, a step towards where some of them
end a fraction of one. What may go either way comes out as a mean, without strokes; but grain goes,
faces and contrast come back, and :mod:`lgt.train.polish`, which follows their energy, has a start
that it would not find in as many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lgt.energy.processes import num_processes
from lgt.errors import InputError
from lgt.files import atomic_write
from lgt.image import to_pixels
from lgt.nn import NULL_STYLE
from lgt.paint.engine import Refinement, Transport
from lgt.seeds import derived
from lgt.train.corrector import CorrectorTeacher, Pictures
from lgt.train.polish import PolishedPictures

DESCENT = 10
"""Steps of a descent."""
LATE, UNCHANGED = 0.3, 0.2
"""Shares of the pictures that start on the path, and that are to stay as they are."""


@dataclass(frozen=True)
class Pair:
    """Where the descent of one square in a style began and ended."""

    style: int
    x_src: Tensor
    x_star: Tensor


class Begun(CorrectorTeacher):
    """How far pictures end from where descents did, and after so many of them their energy.

    Args:
        polished: What follows.
        pairs: Descents.
        first: Number of the first picture that follows.
    """

    def __init__(self, polished: PolishedPictures, pairs: Sequence[Pair], first: int) -> None:
        self.polished, self.pairs, self.first = polished, pairs, first
        self.network, self.corrector = polished.network, polished.corrector
        self.asked = polished.asked

    def learn(self, number: int, share: float) -> tuple[int, float]:
        """Add the gradients of a picture, times `share`; return its style and what is asked."""
        is_copied = number < self.first
        self.asked = "error" if is_copied else self.polished.asked
        return (self._copy if is_copied else self.polished.learn)(number, share)

    def state_dict(self) -> dict[str, Any]:
        """Return what the second part needs."""
        return self.polished.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with it."""
        self.polished.load_state_dict(state)

    def _copy(self, number: int, share: float) -> tuple[int, float]:
        pictures = self.polished
        generator, device = derived(pictures.seed, number), pictures.device
        # Never mirrored: the strokes of a mirrored photo are not the mirrored strokes.
        pair = self.pairs[int(torch.randint(len(self.pairs), (), generator=generator))]
        stays, late, at, which, source = torch.rand(5, generator=generator).tolist()
        x_src, x_star = (x.to(device) for x in (pair.x_src, pair.x_star))
        is_kept, t = stays < UNCHANGED, x_src.new_full((1,), at if late < LATE else 0.0)
        nothing = NULL_STYLE if which < 0.5 else pictures.own
        style = nothing if is_kept else pair.style
        own = NULL_STYLE if source < 0.5 else pictures.own
        condition = pictures.condition(style, x_src, own)
        x = x_src + t * (x_star - x_src)
        with torch.autocast(device.type, torch.bfloat16, enabled=pictures.is_half):
            with torch.no_grad():
                kept = pictures.base.velocity(x, t, condition)
            wanted = kept if is_kept else x_star - x_src
            error = (1 - t) * (self.network.velocity(x, t, condition) - wanted)
            loss = error.float().square().mean()
        (share * loss).backward()
        return style, float(loss.detach())


def find_pairs(
    folder: Path,
    pictures: Pictures,
    styles: Sequence[str],
    count: int,
    origin: str,
    report: Callable[[int, int], None],
) -> list[Pair]:
    """Return descents of some squares in each style; those that a folder has not are made.

    Several processes share the work.

    Args:
        folder: Where they are kept.
        pictures: Squares of photos, and the model that paints them.
        styles: Their names.
        count: Squares a style.
        origin: Tells the model, its photos and what else decides them but the styles.
        report: Is told how many of how many are made, before each and at last.

    Raises:
        LGTError: A file can not be read or written, or is of another origin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = [pictures.lgt.style_id(style) for style in styles] * count
    step = pictures.refiner.step
    learned = 0 if step is None else step.num_strides
    paths = _paths(folder, len(ids))
    origin = f"{origin}, {learned} learned steps, {', '.join(styles)}"
    processes = num_processes()
    rank = dist.get_rank() if processes > 1 else 0
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if processes > 1:
        dist.barrier()  # All have looked before the first is made.
    own = missing[rank::processes]
    for done, number in enumerate(own):
        report(done, len(own))
        tensors = _descent(pictures, ids[number], number)
        with atomic_write(paths[number]) as temporary:
            save_file(tensors, temporary, {"origin": origin})
    report(len(own), len(own))
    if processes > 1:
        dist.barrier()
    return [_read(path, style, origin) for path, style in zip(paths, ids, strict=True)]


def forget_pairs(folder: Path, count: int) -> None:
    """Remove so many pairs of :func:`find_pairs`, and their folder if nothing else is there."""
    for path in _paths(folder, count):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _paths(folder: Path, count: int) -> list[Path]:
    # Not by the styles' names, which may be those of folders.
    return [folder / f"{number:05d}.safetensors" for number in range(count)]


def _descent(pictures: Pictures, style: int, number: int) -> dict[str, Tensor]:
    lgt, engine = pictures.lgt, pictures.engine
    pixels = to_pixels(pictures.squares.square(pictures.seed * 10**6 + number)[0])
    transport = Transport(style={style: 1.0}, sampler=lgt.sampler, source=None, seed=number)
    x_src = engine.encode(pixels, None, _ignore)
    x_1 = engine.move(x_src, transport, None, _ignore)
    wanted = Refinement(steps=DESCENT, pictures=pixels, detail=lgt.config.inference.detail)
    x_star = engine.refine(x_1, x_src, transport, wanted, _ignore)
    found = {"x_src": x_src, "x_star": x_star}
    return {name: tensor.cpu().half().contiguous() for name, tensor in found.items()}


def _read(path: Path, style: int, origin: str) -> Pair:
    try:
        with safe_open(path, "pt") as file:
            found = (file.metadata() or {}).get("origin")
            x_src, x_star = (file.get_tensor(name).float() for name in ("x_src", "x_star"))
    except Exception as error:  # Whatever is wrong with it.
        raise InputError(f"{path}: damaged ({error}); remove it") from error
    if found != origin:
        raise InputError(
            f"{path}: left by a run with another model, other photos, styles or seed; give the "
            "same to go on with it, or remove its folder"
        )
    return Pair(style, x_src, x_star)


def _ignore(_: float) -> None:
    """Take no notice of progress."""

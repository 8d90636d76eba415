"""The seam between painting and what computes: torch, OpenVINO or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lgt.model.style_book import StyleBook
from lgt.paint.controls import Progress
from lgt.paint.provenance import CodecRecord, FileRecord
from lgt.paint.sampler import Sampler, Training

LEAST_CANVAS = 640
"""Canvas of models that were trained on smaller pictures, in pixels."""

Pixels = np.ndarray[Any, np.dtype[np.float32]]
"""Pictures `[B, 3, H, W]`, RGB in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Transport:
    """Where latents are taken, and how."""

    style: Mapping[int, float]
    """Weight of each style by id."""
    sampler: Sampler
    source: int | None = None
    """Style that the sources have; None: not known."""
    seed: int | None = None
    """Same seed, same result; None draws anew."""
    repulsion: float = 0.0
    """Strength r of `v + r (v - v_own)`."""
    is_noise_shared: bool = False
    """Whether all latents get the same noise, as the frames of a video."""


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """How end states go on, down the energy of the training."""

    steps: int
    """Looks at the whole of each picture."""
    pictures: Pixels
    """What the sources are the latents of."""
    detail: float
    """Share of what the codec loses of these that is given back afterwards."""


@dataclass(frozen=True)
class Facts:
    """What an engine is and has loaded, as files of pictures say it."""

    model: FileRecord
    codec: CodecRecord
    device: str
    """Kind of torch's device, or `openvino`, `onnx`."""
    precision: str
    """Number format: `fp32`, `bf16`, `int8`."""
    trained: Sampler
    """The sampler of the training."""
    changes: Mapping[str, Any]
    """Further configuration keys that are not as in training."""


class Engine(Protocol):
    """A model and its codec: pictures to latents, along a path, and back.

    Latents are the engine's own arrays `[B, C, h, w]`, which add, subtract and scale as usual.
    `tile` is the side in pixels of the tiles of large pictures; 0: never cut; None: chosen.
    """

    @property
    def styles(self) -> StyleBook:
        """The model's styles."""
        ...

    @property
    def facts(self) -> Facts:
        """What it is."""
        ...

    @property
    def sampler(self) -> Sampler:
        """The model's sampler, as it was loaded."""
        ...

    @property
    def training(self) -> Training:
        """What of the training decides how the model may be sampled."""
        ...

    @property
    def detail(self) -> float:
        """Share of the lost detail that the model's configuration gives back."""
        ...

    @property
    def color(self) -> float:
        """Share of the photo's broad colours that the model's configuration gives back."""
        ...

    @property
    def canvas(self) -> int:
        """Short side in pixels at which larger pictures are painted, unless asked otherwise."""
        ...

    @property
    def keeps_works(self) -> bool:
        """Whether the model has kept how its works look, so that it may be refined."""
        ...

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this, in pixels."""
        ...

    @property
    def batch_pixels(self) -> int:
        """Pixels of the frames that are best painted at once."""
        ...

    def encode(self, pictures: Pixels, tile: int | None, progress: Progress) -> Any:
        """Return the scaled latents of pictures."""
        ...

    def move(self, x_src: Any, transport: Transport, tile: int | None, progress: Progress) -> Any:
        """Return `x_1`, the latents at the end of the path from `x_src`."""
        ...

    def refine(
        self,
        x_1: Any,
        x_src: Any,
        transport: Transport,
        refinement: Refinement,
        progress: Progress,
    ) -> Any:
        """Return end states, each gone some steps further down the energy of the training.

        Args:
            x_1: The end states.
            x_src: Their sources.
            transport: Where they were taken.
            refinement: How far, and what is looked at.
            progress: Is told the fraction done.

        Raises:
            InputError: The engine or the model does not.
        """
        ...

    def decode(self, latents: Any, tile: int | None, progress: Progress) -> Pixels:
        """Return the pictures of scaled latents."""
        ...

    def at_once(
        self, pictures: Pixels, transport: Transport, strength: float, residual: float
    ) -> Pixels | None:
        """Return what :func:`lgt.paint.compose.repaint` would, by one graph; None: it has none."""
        ...

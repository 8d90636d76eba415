"""Refining: the end state of each picture goes on, down the energy of the training."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from lgt.build.descent import build_energy_from_afar, build_picture_energy
from lgt.build.networks import (
    PerceptualFeatures,
    build_learned_step,
    build_perceptual_network,
)
from lgt.energy.descent import descend, stride
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError
from lgt.nn.learned_step import LearnedStep
from lgt.paint.controls import Progress, part_of
from lgt.paint.engine import Refinement, Transport
from lgt.seeds import seeded

if TYPE_CHECKING:
    from lgt.paint.transfer import LGTInference


class Refiner:
    """What a loaded model needs to refine; its image networks are loaded once.

    Args:
        lgt: The model.
    """

    def __init__(self, lgt: LGTInference) -> None:
        self.lgt = lgt

    def __call__(
        self,
        x_1: Tensor,
        x_src: Tensor,
        transport: Transport,
        refinement: Refinement,
        progress: Progress,
    ) -> Tensor:
        """Return end states after some steps down the energy, each picture on its own.

        Args:
            x_1: End states `[B, C, h, w]`.
            x_src: Their sources.
            transport: Where they were taken.
            refinement: How far, and what is looked at.
            progress: Is told the fraction done.

        Raises:
            InputError: The model or a style has not kept how its works look.
        """
        origin = self.origin
        if set(transport.style) == {origin}:
            return x_1
        works = self.works_of(tuple(transport.style))
        style = works.blended(dict(enumerate(transport.style.values())))
        generator, ends = seeded(transport.seed), []
        photos = torch.from_numpy(refinement.pictures).to(x_1.device)
        with torch.inference_mode(False), torch.enable_grad():
            for index, (end, source, photo) in enumerate(zip(x_1, x_src, photos, strict=True)):
                part = part_of(progress, index / len(x_1), (index + 1) / len(x_1))
                pair = end[None].clone(), source[None].to(end.device, copy=True)
                seen = style, photo[None].clone()
                ends.append(self.refined(*pair, *seen, refinement, generator, part))
        return torch.cat(ends)

    def refined(
        self,
        end: Tensor,
        source: Tensor,
        style: WorksGaussians,
        photo: Tensor,
        refinement: Refinement,
        generator: Generator,
        progress: Progress,
    ) -> Tensor:
        """Return the end state of one picture after learned steps, and after them others.

        Args:
            end: `[1, C, h, w]`, takes gradients.
            source: Its source.
            style: How the works look, K = 1.
            photo: The source's picture, `[1, 3, H, W]`.
            refinement: How far, and what is given back of the photo.
            generator: CPU generator of what the energies draw.
            progress: Is told the fraction done.
        """
        given = self.lgt.config, self.features, style, self._kept.rows([self.origin]), photo
        steps, left = refinement.steps, refinement.steps
        afar = None
        if self.step is not None:
            afar = build_energy_from_afar(*given, detail=refinement.detail)
        if self.step is not None and afar is not None:
            left = max(0, steps - self.step.num_strides)
            part = part_of(progress, 0.0, 1 - left / steps)
            end = stride(
                afar, self.step, end, source, steps - left, generator=generator, progress=part
            )
        if left:
            energy = build_picture_energy(*given, detail=refinement.detail)
            part = part_of(progress, 1 - left / steps, 1.0)
            is_near = left < steps
            end = descend(
                energy, end, source, left, generator=generator, is_near=is_near, progress=part
            )
        return end

    @cached_property
    def step(self) -> LearnedStep | None:
        """What takes the first steps; None where it knows no gradients of the kind."""
        return build_learned_step(self.lgt.config, self.lgt.device)

    @cached_property
    def features(self) -> PerceptualFeatures:
        """What the energy looks with."""
        lgt = self.lgt
        found = build_perceptual_network(lgt.config, lgt.codec_spec, lgt.device)
        if found is None:  # What it knows of its works was seen with one.
            raise InputError(f"refine: {lgt.model_name} names no image network to look with")
        return found

    @property
    def _kept(self) -> WorksGaussians:
        if self.lgt.works is None:
            raise InputError(
                f"refine: {self.lgt.model_name} has not kept how the works of its styles look; "
                "models trained with loss.collection_gain above 0 (`lgt config init`) by this "
                "version have. Leave --refine out, or train it again"
            )
        return self.lgt.works

    @property
    def origin(self) -> int:
        """Style of photos, whose distance is the unit."""
        names = self.lgt.style_names
        return next((names.index(n) for n in self.lgt.source_styles if n in names), 0)

    def works_of(self, styles: tuple[int, ...]) -> WorksGaussians:
        """Return the Gaussians of some styles, in this order."""
        kept = every = self._kept
        rows = []
        for style in styles:
            if style < kept.num_styles:
                rows.append(style)
                continue
            name = self.lgt.style_names[style]
            added = self.lgt.added_styles[name].works
            if added is None:
                raise InputError(
                    f"refine: the style '{name}' has not kept how its works look; learn it again "
                    "with `lgt add-style` of this version, or leave --refine out"
                )
            try:
                tensors = {part: torch.from_numpy(values) for part, values in added.items()}
                every = every.joined(WorksGaussians.unpacked(tensors).rows([0]))
            except Exception as error:  # Whatever is wrong with its file.
                raise InputError(f"refine: the style '{name}' is damaged ({error})") from error
            rows.append(every.num_styles - 1)
        return every.rows(rows)

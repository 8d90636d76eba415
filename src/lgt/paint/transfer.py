"""Use of a trained model: latents in, latents out; or pictures in, pictures out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lgt.build import (
    build_guidance,
    build_network,
    build_solver_step,
    build_start,
    build_temperature,
)
from lgt.codec import (
    CodecSpec,
    LatentCodec,
    load_codec,
)
from lgt.codec.family import check_family
from lgt.codec.learned import fingerprint
from lgt.config import Config
from lgt.device import available_device, resolve_dtype
from lgt.dynamics.solvers import heun_step
from lgt.errors import CheckpointError, InputError, LGTWarning
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import EMBEDDED, find_model
from lgt.model.style_book import StyleBook
from lgt.model.style_file import model_hash
from lgt.model.styles import Style
from lgt.nn import NULL_STYLE
from lgt.nn.tiles import tiled_velocity
from lgt.paint.control import Controls, Progress, paint
from lgt.paint.sampler import choose_sampler, noisy_steps
from lgt.paint.sampling import Field, sample
from lgt.seeds import seeded

MIN_POSITIONS = 64
"""Smallest side of the network's tiles, in latent positions: they overlap by half of it."""

AUTO_POSITIONS = 512
"""Side of the network's tiles, in latent positions, for 48 base channels."""


class LGTInference(StyleBook):
    """A trained model, ready to transfer styles.

    Args:
        model_path: Checkpoint written by `lgt train` or `lgt pack`; `embedded` is the model
            inside the package.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` or `mps`; an absent one
            gives an `LGTWarning` and the CPU.
        temperature_lambda: sigma of the late noise, in latent units per square root of time; 0
            makes a source start deterministic.
        use_cfg: Classifier-free guidance.
        cfg_scale: Guidance scale s in `u + s (c - u)`; 1 is off. Given without `use_cfg`, it
            switches guidance on.
        num_steps: Solver steps.
        precision: `fp32` or `bf16` (autocast of the network).
        config: Replaces the checkpoint's configuration; its `model` section must be the same.

    Arguments left at None keep what the checkpoint's configuration says. What the model can not do
    is left off, with an `LGTWarning`: guidance, if it was trained without label dropout; noise, if
    no step but the last comes late enough.

    Raises:
        CheckpointError: The file is missing, damaged, of another version, or does not fit `config`.
        InputError: An argument is out of range, or there is no such device on this machine.
    """

    def __init__(
        self,
        model_path: str | Path = EMBEDDED,
        device: str | torch.device = "auto",
        temperature_lambda: float | None = None,
        use_cfg: bool | None = None,
        cfg_scale: float | None = None,
        num_steps: int | None = None,
        *,
        precision: str = "fp32",
        config: Config | None = None,
    ) -> None:
        checkpoint = Checkpoint.load(find_model(model_path))
        if config is not None and config.model != checkpoint.config.model:
            raise CheckpointError(
                f"{model_path}: its `model` section differs from the given configuration's; "
                f"checkpoint: {checkpoint.config.model}, given: {config.model}"
            )
        self.model_name = EMBEDDED if str(model_path) == EMBEDDED else Path(model_path).name
        self.trained_config = checkpoint.config
        sampler = choose_sampler(
            config or checkpoint.config,
            checkpoint.config,
            temperature_lambda=temperature_lambda,
            use_cfg=use_cfg,
            cfg_scale=cfg_scale,
            num_steps=num_steps,
        )
        self.config = sampler.config
        for note in sampler.notes:
            warnings.warn(note, LGTWarning, stacklevel=2)
        self.codec_spec: CodecSpec | None = checkpoint.codec
        self._checked_codecs: set[CodecSpec] = set()
        self.device = available_device(device)
        self.dtype = resolve_dtype(precision)
        self.network = build_network(self.config)
        StyleBook.__init__(
            self, self.network, checkpoint.style_names, model_hash(checkpoint.inference_weights)
        )
        try:
            self.network.load_state_dict(checkpoint.inference_weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"{model_path}: its weights do not fit its own `model` section; the file is "
                f"damaged ({str(error).splitlines()[0]})"
            ) from error
        self.network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the model's own weights; equal ones paint equally."""
        return fingerprint(self.network)

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result: noise at the start, or in a late step."""
        return bool(noisy_steps(self.config)) or build_start(self.config) != "source"

    @property
    def painted_styles(self) -> tuple[str, ...]:
        """Names of the styles worth giving: all but `photo` and those that sources were of."""
        plain = {"photo", *self.config.data.source_subdirs}
        return tuple(n for n in self.style_names if n not in plain) or self.style_names

    @torch.no_grad()
    def transfer_style(
        self,
        x_source: Tensor,
        source_style_id: int | str | None = None,
        target_style_id: Style | Sequence[Style] = 0,
        num_steps: int | None = None,
        *,
        seed: int | None = None,
        repulsion: float = 0.0,
        tile: int | None = None,
        progress: Progress | None = None,
        is_noise_shared: bool = False,
    ) -> Tensor:
        """Give scaled latents another style.

        Args:
            x_source: `[B, C, h, w]` from `encode_image`; any height and width.
            source_style_id: Style that the sources have, by id or name; None: not known.
            target_style_id: Style to give, for all or one for each: an id, a name, or a blend, a
                mapping from styles to weights.
            num_steps: Solver steps; None: as set at construction.
            seed: Same seed, same result, on any device; None draws anew every time.
            repulsion: Strength r of `v + r (v - v_own)`, away from the sources' own style
                (`photo` where it is not given); at least 0.
            tile: Side in latent positions of the tiles that larger latents are cut into; 0: never
                cut; None: chosen for the network's width.
            progress: Is told the fraction done after each evaluation of the network; what it
                raises stops the work.
            is_noise_shared: Draw the noise once for all latents, as for the frames of a video.

        Returns:
            Scaled latents of the same shape, float32, on the model's device.

        Raises:
            InputError: A style does not exist, or the latents do not fit the model.
        """
        self._check_latents(x_source)
        steps = self.config.inference.num_steps if num_steps is None else num_steps
        if steps < 1:
            raise InputError(f"num_steps must be at least 1 (got {steps})")
        batch = len(x_source)
        targets = target_style_id
        if isinstance(targets, (int, str, Mapping)):
            targets = [targets] * batch
        if len(targets) != batch:
            raise InputError(
                f"{len(targets)} target styles for {batch} latents; give one or {batch}"
            )
        source = NULL_STYLE if source_style_id is None else self.style_id(source_style_id)
        generator = seeded(seed)
        x_src = x_source.to(self.device, torch.float32).contiguous(
            memory_format=torch.channels_last
        )
        is_reduced = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_reduced):
            x_1 = sample(
                self.network,
                x_src,
                torch.stack([self.network.blend(self.style_weights(style)) for style in targets]),
                torch.full((batch,), source, device=self.device),
                num_steps=steps,
                step=build_solver_step(self.config),
                start=build_start(self.config),
                start_time=self.config.inference.start_time,
                diffusion=build_temperature(self.config),
                guidance=build_guidance(self.config),
                repulsion=repulsion,
                repelled_style_id=None
                if repulsion == 0
                else torch.full((batch,), self._own_style(source), device=self.device),
                field=self._field(steps * (1 if repulsion == 0 else 2), tile, progress),
                generator=generator,
                is_noise_shared=is_noise_shared,
            )
        return x_1.float()

    def load_codec(self, source: str | None = None) -> LatentCodec:
        """Load the codec that the model was trained with, or another with the same latents.

        Args:
            source: Any source that `lgt.codec.load_codec` takes; None: the checkpoint's.

        Raises:
            CodecError: It can not be loaded.
            InputError: Its latents are of another shape or family; see :meth:`check_codec`.
        """
        default = "auto" if self.codec_spec is None else self.codec_spec.source
        codec = load_codec(source or default, device=self.device, dtype=self.dtype)
        self.check_codec(codec)
        return codec

    def check_codec(self, codec: LatentCodec) -> None:
        """Refuse a codec whose latents are not those that the model was trained on.

        Raises:
            InputError: They are of another shape or family; see :mod:`lgt.codec.family`.
        """
        if self.codec_spec is None or codec.spec in self._checked_codecs:
            return
        check_family(codec, self.codec_spec)
        self._checked_codecs.add(codec.spec)

    def stylize(
        self,
        image: Image.Image,
        style: Style,
        *,
        codec: LatentCodec,
        source_style: int | str | None = None,
        num_steps: int | None = None,
        seed: int | None = None,
        strength: float = 1.0,
        preserve_color: bool = False,
        mask: Image.Image | None = None,
        style_scale: float = 1.0,
        max_side: int | None = None,
        detail: float | None = None,
        repulsion: float = 0.0,
        progress: Progress | None = None,
        detail_mask: Image.Image | None = None,
        tile: int | None = None,
    ) -> Image.Image:
        """Give a picture a style; the result has the picture's size, to the pixel, and its alpha.

        Sides that the codec does not divide are padded by their edge, and cut off again; pictures
        of any size are painted in bounded memory.

        Args:
            image: Picture of any mode.
            style: Style to give: name, id, or a mapping from styles to weights (a blend; the
                weights are divided by their sum).
            codec: From :meth:`load_codec`.
            source_style: Style that the picture has, if known.
            num_steps: Solver steps; None: as set at construction.
            seed: Same seed, same picture; None draws anew every time.
            strength: 0 gives the photo back exactly, 1 the full style.
            preserve_color: Keep the photo's colours and take only the brightness of the painting.
            mask: White is painted, black stays the photo; stretched to the picture.
            style_scale: Size of the strokes as a factor, 0.25 to 8.
            max_side: Shrink the picture to this longest side first, in pixels, for a quick look;
                the result is as small.
            detail: Share, 0 to 1, of the photo's detail that the codec loses to be given back;
                None: what the model's configuration says.
            repulsion: Strength, at least 0, of the push away from the source's own style.
            progress: Is told the fraction done, in [0, 1]; what it raises stops the work.
            detail_mask: Where `detail` applies (white); None: everywhere.
            tile: Side in pixels of the tiles of large pictures; 0: never cut; None: chosen.

        Raises:
            InputError: A style does not exist, a value is out of range, or the codec is of other
                latents than the model's.
        """
        controls = Controls(
            strength=strength,
            detail=self.config.inference.detail if detail is None else detail,
            preserve_color=preserve_color,
            style_scale=style_scale,
            max_side=max_side,
            repulsion=repulsion,
            tile=tile,
        )
        self.check_codec(codec)
        weights = self.style_weights(style)
        positions = tile and max(MIN_POSITIONS, tile // codec.spec.downscale)

        def transfer(x_src: Tensor, report: Progress) -> Tensor:
            return self.transfer_style(
                x_src,
                source_style,
                weights,
                num_steps,
                seed=seed,
                repulsion=repulsion,
                tile=positions,
                progress=report,
            )

        return paint(
            image,
            controls,
            codec=codec,
            transfer=transfer,
            mask=mask,
            detail_mask=detail_mask,
            device=self.device,
            progress=progress,
        )

    def _own_style(self, source: int) -> int:
        """Return the style that sources have: the given one, else `photo`, else the first."""
        if source != NULL_STYLE:
            return source
        names = [n for n in ("photo", *self.config.data.source_subdirs) if n in self.style_names]
        if not names:
            raise InputError(
                "repulsion needs the style to move away from, and this model has no style "
                f"'photo' (styles: {', '.join(self.style_names)}); give source_style"
            )
        return self.style_names.index(names[0])

    def _field(self, steps: int, tile: int | None, progress: Progress | None) -> Field:
        """Return the network's velocity, in tiles where needed, that reports how far it is."""
        if tile is None:
            # Activations grow with the width; these tiles need about 1 GB.
            tile = int(AUTO_POSITIONS * math.sqrt(48 / self.config.model.base_channels))
        total = steps * (2 if build_solver_step(self.config) is heun_step else 1)
        evaluations = 0

        def report(fraction: float) -> None:
            nonlocal evaluations
            if progress is not None:
                progress(min(1.0, (evaluations + fraction) / total))
            evaluations += fraction == 1

        return tiled_velocity(self.network, tile=tile or 2**30, progress=report)

    def _check_latents(self, x: Tensor) -> None:
        channels = self.config.model.latent_channels
        if x.ndim != 4 or x.shape[1] != channels:
            raise InputError(
                f"x_source must have shape [B, {channels}, h, w], as this model was trained on "
                f"latents of {channels} channels; got {list(x.shape)}"
            )
        if not bool(torch.isfinite(x).all()):
            raise InputError("x_source holds values that are not finite; check the image or codec")

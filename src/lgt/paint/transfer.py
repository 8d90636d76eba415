"""Use of a trained model: latents in, latents out; or pictures in, pictures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from lgt.build import build_network
from lgt.codec import CodecSpec, LatentCodec, load_codec
from lgt.codec.family import check_family
from lgt.codec.learned import fingerprint
from lgt.codec.stored import check_stored_source
from lgt.config import Config, change_config
from lgt.device import available_device, resolve_dtype
from lgt.errors import CheckpointError, InputError
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import EMBEDDED, find_model
from lgt.model.style_book import StyleBook
from lgt.model.style_file import model_hash
from lgt.model.styles import Style
from lgt.paint.compose import paint
from lgt.paint.controls import Controls, Progress
from lgt.paint.engine import Transport
from lgt.paint.sampler import Sampler, Training, check_stored_steps, told_sampler
from lgt.paint.torch_engine import TorchEngine, move_latents

if TYPE_CHECKING:
    from lgt.paint.refine import Refiner

_USUAL = {
    "latent_channels": 64,
    "base_channels": 512,
    "style_dim": 2048,
    "time_dim": 2048,
    "num_styles": 1000,
    "num_encoder_blocks": 4,
    "num_decoder_blocks": 12,
    "style_head_channels": 512,
    "num_corrector_blocks": 16,
}
"""Keys of `model`, up to which a network is made without a look at its size before: the look loads
parts of torch that nothing else needs."""


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
        changes: Configuration keys to change, `SECTION.KEY=VALUE`, as `--set` takes them.

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
        changes: Sequence[str] = (),
    ) -> None:
        checkpoint = Checkpoint.load(find_model(model_path))
        if config is not None and config.model != checkpoint.config.model:
            raise CheckpointError(
                f"{model_path}: its `model` section differs from the given configuration's; "
                f"checkpoint: {checkpoint.config.model}, given: {config.model}"
            )
        self.model_name = EMBEDDED if str(model_path) == EMBEDDED else Path(model_path).name
        self.trained_config, self.outdated = checkpoint.config, checkpoint.outdated
        self.config = change_config(config or checkpoint.config, changes, str(model_path))
        self.sampler = told_sampler(
            Sampler.of(self.config),
            Training.of(self.trained_config),
            num_steps=num_steps,
            temperature_lambda=temperature_lambda,
            use_cfg=use_cfg,
            cfg_scale=cfg_scale,
        )
        if num_steps is None and self.config.inference == checkpoint.config.inference:
            check_stored_steps(self.sampler, str(model_path))
        self.codec_spec: CodecSpec | None = checkpoint.codec
        self.works = checkpoint.works
        """What it has kept of the works of its own styles, which `refine` needs."""
        self.trained_side = min(checkpoint.latent_shape[1:])
        """Short side of the latents of the training."""
        self._checked_codecs: set[CodecSpec] = set()
        self.device = available_device(device)
        self.dtype = resolve_dtype(precision)
        if any(value > _USUAL[key] for key, value in self.config.model if key in _USUAL):
            _check_weights(self.config, checkpoint.inference_weights, str(model_path))
        self.network = build_network(self.config)
        StyleBook.__init__(
            self,
            checkpoint.style_names,
            self.config.data.source_subdirs,
            lambda: model_hash({k: v.cpu() for k, v in self.network.state_dict().items()}),
            lambda code: self.network.add_style(torch.from_numpy(code)),
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
    def num_styles(self) -> int:
        """Number of styles."""
        return len(self.style_names)

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another result: noise at the start, or in a late step."""
        return self.sampler.is_random

    def sampler_with(self, **wishes: float | bool | None) -> Sampler:
        """Return the model's sampler with some numbers changed, within what the model can do.

        Args:
            wishes: `num_steps`, `temperature_lambda`, `use_cfg`, `cfg_scale`; None keeps what is.

        Raises:
            ConfigError: A value is out of range.
        """
        return told_sampler(self.sampler, Training.of(self.trained_config), **wishes)

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
        if not isinstance(x_source, Tensor) or not x_source.numel():
            seen = list(x_source.shape) if isinstance(x_source, Tensor) else type(x_source).__name__
            raise InputError(
                f"x_source must be a tensor of latents [B, C, h, w], and not empty (got {seen})"
            )
        targets = target_style_id
        if isinstance(targets, (int, str, Mapping)):
            targets = [targets] * len(x_source)
        if len(targets) != len(x_source):
            raise InputError(
                f"{len(targets)} target styles for {len(x_source)} latents; give one or "
                f"{len(x_source)}"
            )
        if num_steps is not None and num_steps < 1:
            raise InputError(f"num_steps must be at least 1 (got {num_steps})")
        return move_latents(
            self,
            x_source,
            Transport(
                style=self.style_weights(targets[0]) if targets else {},
                sampler=self.sampler.changed(num_steps=num_steps),
                source=None if source_style_id is None else self.style_id(source_style_id),
                seed=seed,
                repulsion=repulsion,
                is_noise_shared=is_noise_shared,
            ),
            styles=[self.style_weights(style) for style in targets],
            tile=tile,
            progress=progress,
        )

    @cached_property
    def refiner(self) -> Refiner:
        """What takes its end states further down the energy of the training."""
        from lgt.paint.refine import Refiner  # And with it what trainings need.

        return Refiner(self)

    def load_codec(self, source: str | None = None) -> LatentCodec:
        """Load the codec that the model was trained with, or another with the same latents.

        Args:
            source: Any source that `lgt.codec.load_codec` takes; None: the checkpoint's, if a
                file may name it (see :mod:`lgt.codec.stored`).

        Raises:
            CodecError: It can not be loaded.
            InputError: Its latents are of another shape or family; see :meth:`check_codec`.
        """
        if not source:
            stored = "auto" if self.codec_spec is None else self.codec_spec.source
            source = check_stored_source(stored, f"the model {self.model_name}")
        codec = load_codec(source, device=self.device, dtype=self.dtype)
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
        color: float | None = None,
        refine: int = 0,
        repulsion: float = 0.0,
        progress: Progress | None = None,
        detail_mask: Image.Image | None = None,
        tile: int | None = None,
        canvas: int | None = None,
        sampler: Sampler | None = None,
    ) -> Image.Image:
        """Give a picture a style; the result has the picture's size, to the pixel, and its alpha.

        What is painted on a canvas has a margin of its mirror image, from 320 pixels on; sides that
        the codec does not divide are padded by their edge otherwise; both are cut off again.
        Pictures of any size are painted in bounded memory.

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
            color: Share, 0 to 1, of the photo's broad colours to be given back; None: what the
                model's configuration says.
            refine: Looks at the painting in which it goes on, down the energy of the training. 3
                do most of it, in a second or two on a CPU; 10 are nearly all. Needs the extra
                `train`.
            repulsion: Strength, at least 0, of the push away from the source's own style.
            progress: Is told the fraction done, in [0, 1]; what it raises stops the work.
            detail_mask: Where `detail` applies (white); None: everywhere.
            tile: Side in pixels of the tiles of large pictures; 0: never cut; None: chosen.
            canvas: Short side in pixels at which larger pictures are painted, to be enlarged; 0:
                all at their own size; None: 512, or that of the training if it is more.
            sampler: From :meth:`sampler_with`; None: as set at construction.

        Raises:
            InputError: A style does not exist, a value is out of range, or the codec is of other
                latents than the model's.
        """
        controls = Controls(
            strength=strength,
            canvas=canvas,
            detail=self.config.inference.detail if detail is None else detail,
            color=self.config.inference.color if color is None else color,
            preserve_color=preserve_color,
            style_scale=style_scale,
            refine=refine,
            max_side=max_side,
            repulsion=repulsion,
            tile=tile,
        )
        transport = Transport(
            style=self.style_weights(style),
            sampler=(sampler or self.sampler).changed(num_steps=num_steps),
            source=None if source_style is None else self.style_id(source_style),
            seed=seed,
            repulsion=repulsion,
        )
        return paint(
            image,
            TorchEngine(self, codec),
            transport,
            controls,
            mask=mask,
            detail_mask=detail_mask,
            progress=progress,
        )


def _check_weights(config: Config, weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse a model that would take more memory than its file has weights for, before it does.

    Raises:
        CheckpointError: Says so.
    """
    with torch.device("meta"):  # Shapes alone: nothing is allocated.
        needed = sum(value.numel() for value in build_network(config).state_dict().values())
    found = sum(value.numel() for value in weights.values())
    if needed != found:
        raise CheckpointError(
            f"{source}: its weights do not fit its own `model` section ({found} numbers, and it "
            f"needs {needed}); the file is damaged"
        )

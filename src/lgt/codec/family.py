"""Families of latents: which codecs can stand in for each other, and which only look alike.

Latents of two families may agree in shape and scale and still mean other things: those of Stable
Diffusion and of Stable Diffusion XL both have 4 channels at 1/8 size. A model that was trained on
one family paints bars and blots in another.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lgt.codec.load import load_codec
from lgt.codec.spec import CodecSpec, LatentCodec, scale_latents
from lgt.codec.stored import check_stored_source
from lgt.errors import CodecError, InputError

DCT, SD, SDXL, SD3, FLUX = (
    "the DCT",
    "Stable Diffusion",
    "Stable Diffusion XL",
    "Stable Diffusion 3",
    "Flux",
)
MIN_CORRELATION = 0.5
"""Least correlation of each channel of two codecs of one family, on the probe.

Note:
    Distilled autoencoders follow their parent's latents closely, while two families share a channel
    or two (brightness) and differ in the others, so the channel that agrees least decides.
"""

_SCALES = {
    (4, 0.18215): SD,
    (4, 0.13025): SDXL,
    (16, 1.5305): SD3,
    (16, 0.3611): FLUX,
}
_NAMES = {
    (4, "xl"): SDXL,
    (4, "taesd"): SD,
    (4, "embedded"): SD,
    (16, "sd3"): SD3,
    (16, "flux"): FLUX,
    (16, "taef1"): FLUX,
}
"""Of codecs whose latents are scaled already; the first word that a name holds counts."""


def family_of(spec: CodecSpec) -> str | None:
    """Return the family of a codec's latents by its numbers and its name; None: not known."""
    name = spec.name.lower()
    if name.startswith("dct"):
        return DCT
    named = next((f for (c, w), f in _NAMES.items() if c == spec.latent_channels and w in name), "")
    if named == SDXL:  # Some copies of it carry the default scale, which is that of SD.
        return named
    for (channels, scale), family in _SCALES.items():
        if channels == spec.latent_channels and math.isclose(spec.scaling_factor, scale):
            return family
    return named or None if spec.scaling_factor == 1 else None


def check_family(codec: LatentCodec, trained: CodecSpec) -> None:
    """Refuse a codec whose latents are not those that a model was trained on.

    Where numbers and names do not tell, the latents of a small picture are compared, if the codec
    of the training can be had without a network.

    Raises:
        InputError: They are of another shape or family.
    """
    spec = codec.spec
    if spec.is_compatible(trained):
        return
    own, other = family_of(trained), family_of(spec)
    advice = f"use --codec {trained.source}"
    if (spec.latent_channels, spec.downscale) != (trained.latent_channels, trained.downscale):
        raise InputError(
            f"codec {spec.name} has latents of {spec.latent_channels} channels at "
            f"1/{spec.downscale} size, the model was trained on {trained.name} with "
            f"{trained.latent_channels} at 1/{trained.downscale}; {advice}"
        )
    is_known = own is not None and other is not None
    if own != other and (is_known or DCT in (own, other)):
        raise InputError(
            f"codec {spec.name} has latents of {other or 'an unknown kind'}, the model was trained "
            f"on those of {own or 'an unknown kind'} ({trained.name}); {advice}"
        )
    if is_known or (reference := _reference(trained, own)) is None:
        return
    agreement = least_correlation(codec, reference)
    if agreement < MIN_CORRELATION:
        raise InputError(
            f"codec {spec.name} gives other latents than {trained.name}, on which the model was "
            f"trained (correlation {agreement:.2f} in the channel that agrees least, needed "
            f"{MIN_CORRELATION}); {advice}"
        )


def least_correlation(first: LatentCodec, second: LatentCodec) -> float:
    """Return the smallest correlation, over the channels, of two codecs' latents of the probe."""
    x, y = (_probed(codec) for codec in (first, second))
    rows = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(x, y, strict=True)]
    return float(torch.stack(rows).nan_to_num(0.0).min())


@torch.no_grad()
def _probed(codec: LatentCodec) -> Tensor:
    """Return scaled latents of the probe, flat, one row a channel."""
    latents = scale_latents(codec.encode(_probe(16 * codec.spec.downscale)), codec.spec)
    return latents[0].flatten(1).float().cpu()


def _probe(side: int) -> Tensor:
    """Return a picture `[1, 3, side, side]` of coloured slopes, patches and a grain."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(1, 3, 8, 8, generator=generator)
    slopes = torch.rand(1, 3, 3, 3, generator=generator)
    grain = torch.rand(1, 3, side, side, generator=generator)
    coarse = torch.nn.functional.interpolate(patches, (side, side), mode="nearest")
    smooth = torch.nn.functional.interpolate(slopes, (side, side), mode="bilinear")
    return 0.5 * coarse + 0.4 * smooth + 0.1 * grain


def _reference(trained: CodecSpec, family: str | None) -> LatentCodec | None:
    """Return a codec of the training's latents that needs no network; None: there is none."""
    source = "embedded" if family == SD else trained.source
    try:
        codec = load_codec(check_stored_source(source, "the model"))
    except (CodecError, InputError):
        return None
    return codec if family == SD or codec.spec.is_compatible(trained) else None

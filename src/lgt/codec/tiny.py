"""The tiny autoencoder: the network of TAESD and of the embedded codec, in plain PyTorch.

State dict and `config.json` are those of diffusers' `AutoencoderTiny`, so either loads what the
other wrote; nothing of diffusers is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lgt.errors import CodecError
from lgt.files import atomic_write

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
"""Names of a weight file, the preferred one first."""

CONFIG_NAME = "config.json"

DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "encoder_block_out_channels": (64, 64, 64, 64),
    "decoder_block_out_channels": (64, 64, 64, 64),
    "act_fn": "relu",
    "upsample_fn": "nearest",
    "latent_channels": 4,
    "upsampling_scaling_factor": 2,
    "num_encoder_blocks": (1, 3, 3, 3),
    "num_decoder_blocks": (3, 3, 3, 1),
    "latent_magnitude": 3,
    "latent_shift": 0.5,
    "force_upcast": False,
    "scaling_factor": 1.0,
    "shift_factor": 0.0,
}
"""Keys of `config.json`, with the values that a missing key means."""

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "gelu": nn.GELU,
}


class MissingWeightsError(ValueError):
    """Tensors of the network that a file does not hold."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"{len(names)} tensors are missing, such as {names[0]}")


class TinyBlock(nn.Module):
    """A residual block, `relu(x + conv(x))`, with three 3 x 3 convolutions."""

    def __init__(self, channels: int, act_fn: str) -> None:
        super().__init__()
        act = _activation(act_fn)
        self.conv = nn.Sequential(
            _conv(channels, channels),
            act,
            _conv(channels, channels),
            act,
            _conv(channels, channels),
        )
        self.fuse = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, H, W]` to the same shape."""
        fused: Tensor = self.fuse(self.conv(x).add_(x))
        return fused


class TinyEncoder(nn.Module):
    """Images in [-1, 1] to latents; every stage but the first halves the sides."""

    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        num_blocks: Sequence[int],
        widths: Sequence[int],
        act_fn: str,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage, (count, width) in enumerate(zip(num_blocks, widths, strict=True)):
            if stage == 0:
                layers.append(_conv(in_channels, width))
            else:
                layers.append(_conv(width, width, stride=2, bias=False))
            layers.extend(TinyBlock(width, act_fn) for _ in range(count))
        layers.append(_conv(widths[-1], latent_channels))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `[B, 3, H, W]` in [-1, 1] to latents."""
        latents: Tensor = self.layers(x.add(1).div(2))
        return latents


class TinyDecoder(nn.Module):
    """Latents, softly clamped to (-3, 3), to images; every stage but the last enlarges."""

    def __init__(
        self,
        latent_channels: int,
        out_channels: int,
        num_blocks: Sequence[int],
        widths: Sequence[int],
        scale: int,
        act_fn: str,
        upsample_fn: str,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(latent_channels, widths[0]), _activation(act_fn)]
        last = len(num_blocks) - 1
        for stage, (count, width) in enumerate(zip(num_blocks, widths, strict=True)):
            layers.extend(TinyBlock(width, act_fn) for _ in range(count))
            if stage < last:
                layers.append(nn.Upsample(scale_factor=scale, mode=upsample_fn))
                layers.append(_conv(width, width, bias=False))
            else:
                layers.append(_conv(width, out_channels))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map latents to images in about [-1, 1]."""
        images: Tensor = self.layers(torch.tanh(x / 3) * 3)
        return images.mul(2).sub(1)


class TinyAutoencoder(nn.Module):
    """`encoder` and `decoder`; the keys are those of :data:`DEFAULTS`, others are ignored.

    Attributes:
        config: What `config.json` says, completed by the defaults.

    Raises:
        ValueError: Widths and block counts differ in length, or an unknown activation.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__()
        known = {key: value for key, value in config.items() if key in DEFAULTS}
        self.config: dict[str, Any] = {**DEFAULTS, **known}
        c = self.config
        for part in ("encoder", "decoder"):
            widths, counts = c[f"{part}_block_out_channels"], c[f"num_{part}_blocks"]
            if len(widths) != len(counts):
                raise ValueError(
                    f"{part}_block_out_channels has {len(widths)} entries, num_{part}_blocks "
                    f"{len(counts)}; they must be as many"
                )
        self.encoder = TinyEncoder(
            c["in_channels"],
            c["latent_channels"],
            c["num_encoder_blocks"],
            c["encoder_block_out_channels"],
            c["act_fn"],
        )
        self.decoder = TinyDecoder(
            c["latent_channels"],
            c["out_channels"],
            c["num_decoder_blocks"],
            c["decoder_block_out_channels"],
            c["upsampling_scaling_factor"],
            c["act_fn"],
            c["upsample_fn"],
        )

    def save_pretrained(self, folder: Path) -> None:
        """Write `config.json` and the weights, as diffusers reads them.

        Raises:
            OSError: The folder can not be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / CONFIG_NAME) as temporary:
            content = {"_class_name": "AutoencoderTiny", **self.config}
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        with atomic_write(folder / WEIGHTS[0]) as temporary:
            weights = {name: value.contiguous() for name, value in self.state_dict().items()}
            save_file(weights, temporary)


def empty_autoencoder(config: Mapping[str, Any]) -> TinyAutoencoder:
    """Return the network with its parameters on the device `meta`: shapes, no values yet."""
    with torch.device("meta"):
        return TinyAutoencoder(**config)


def fill(model: TinyAutoencoder, state: Mapping[str, Tensor]) -> None:
    """Give an empty network its weights, as float32; names beyond its own are ignored.

    Raises:
        MissingWeightsError: Not all weights are there.
        ValueError: A weight has another shape.
    """
    wanted = model.state_dict()
    if missing := sorted(set(wanted) - set(state)):
        raise MissingWeightsError(missing)
    for key, empty in wanted.items():
        if state[key].shape != empty.shape:
            raise ValueError(
                f"{key} has shape {list(state[key].shape)}, the network {list(empty.shape)}"
            )
    model.load_state_dict({key: state[key].float() for key in wanted}, assign=True)


def load_tiny(folder: Path, source: str) -> TinyAutoencoder:
    """Load the network of a folder with `config.json` and a weight file.

    Args:
        folder: In diffusers layout.
        source: What the user named, for messages.

    Raises:
        CodecError: Weights that are absent, incomplete or damaged.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = empty_autoencoder(config)
        fill(model, _read_weights(folder))
    except MissingWeightsError as error:
        raise CodecError(
            f"codec '{source}': the weights do not fit config.json: {error}; check that both are "
            "of the same model"
        ) from error
    except Exception as error:  # damaged files raise many kinds; all mean: not loadable
        detail = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CodecError(
            f"codec '{source}': the weights can not be loaded ({detail}); check that the download "
            "is complete"
        ) from error
    return model


def _read_weights(folder: Path) -> Mapping[str, Tensor]:
    for name in WEIGHTS:
        path = folder / name
        if path.is_file() and path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if path.is_file():
            return dict(torch.load(path, map_location="cpu", weights_only=True))
    raise FileNotFoundError(f"{folder} holds no {' or '.join(WEIGHTS)}")


def _conv(c_in: int, c_out: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=bias)


def _activation(name: str) -> nn.Module:
    if name not in _ACTIVATIONS:
        raise ValueError(f"act_fn '{name}' is not one of {', '.join(_ACTIVATIONS)}")
    # A convolution does not need its result again, nor ReLU what it was given.
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()

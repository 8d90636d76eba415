"""Nodes: load a model, encode, transfer, decode; or all of it in one.

ComfyUI's IMAGE is a float32 tensor `[B, H, W, 3]` in [0, 1]; its LATENT a dict whose `samples` are
`[B, 4, h, w]`, unscaled, as the VAE of Stable Diffusion 1.5 gives them. LGT's
codecs work on scaled latents: these nodes convert.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from lgt import LGTPipeline
from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.model.style_file import installed_styles

CATEGORY = "LGT"
SD_SCALE = 0.18215
"""Scaled latents / samples of Stable Diffusion 1.5's autoencoder."""
EMBEDDED = "embedded"
MODEL_FOLDERS = ("lgt",)
"""Sub-folders of ComfyUI's `models` folder that are searched for models."""

_pipelines: dict[tuple[str, str, int], LGTPipeline] = {}


def model_files() -> dict[str, str]:
    """Return the models to choose from: a name for the combo, and its file."""
    found = {EMBEDDED: EMBEDDED}
    try:
        import folder_paths
    except ImportError:  # Not inside ComfyUI.
        return found
    for folder in MODEL_FOLDERS:
        root = Path(folder_paths.models_dir) / folder
        for path in sorted(root.glob("*")):
            if path.suffix in {".safetensors", ".pt"}:
                found[path.name] = str(path)
    return found


def style_choices() -> list[str]:
    """Return the styles of all models to choose from, added ones too."""
    names: list[str] = []
    for file in model_files().values():
        try:
            pipe = load(file, "cpu") if file == EMBEDDED else LGTPipeline(file)
        except InputError:
            continue  # A damaged file says so when it is loaded.
        own = [*pipe.lgt.painted_styles]
        own += [style.name for style in installed_styles(pipe.lgt.model_hash)]
        names += [name for name in own if name not in names]
    return names


def load(file: str, device: str) -> LGTPipeline:
    """Load a model once for each device; again when its file has changed."""
    key = (file, device, 0 if file == EMBEDDED else Path(file).stat().st_mtime_ns)
    if key not in _pipelines:
        pipe = LGTPipeline.from_pretrained(file, device=device)
        pipe.set_progress_bar_config(disable=True)
        _pipelines[key] = pipe
    return _pipelines[key]


def progress_of(total: int) -> Any:
    """Return a function that is told a fraction and moves ComfyUI's bar, and may be cancelled."""
    try:
        import comfy.model_management
        import comfy.utils
    except ImportError:
        return lambda _: None
    bar = comfy.utils.ProgressBar(total)

    def report(fraction: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(fraction * total), total)

    return report


class LGTModelLoader:
    """Loads a model."""

    RETURN_TYPES = ("LGT_MODEL",)
    RETURN_NAMES = ("model",)
    FUNCTION = "load_model"
    CATEGORY = CATEGORY
    DESCRIPTION = "Loads the model inside the package, or a file of models/lgt."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Describe the inputs."""
        return {
            "required": {
                "model": (list(model_files()),),
                "device": (["auto", "cpu", "cuda"],),
            }
        }

    def load_model(self, model: str, device: str) -> tuple[LGTPipeline]:
        """Return the model."""
        files = model_files()
        if model not in files:
            raise InputError(f"model '{model}' is not there any more (there are: {list(files)})")
        return (load(files[model], device),)


_CONTROLS: dict[str, Any] = {
    "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}),
    "style_scale": ("FLOAT", {"default": 1.0, "min": 0.25, "max": 8.0, "step": 0.25}),
    "detail": (
        "FLOAT",
        {"default": -1.0, "min": -1.0, "max": 1.0, "step": 0.05, "tooltip": "-1: the model's own"},
    ),
    "preserve_color": ("BOOLEAN", {"default": False}),
}
_COLOR: tuple[str, dict[str, Any]] = (
    "FLOAT",
    {
        "default": -1.0,
        "min": -1.0,
        "max": 1.0,
        "step": 0.05,
        "tooltip": "share of the photo's broad colours; -1: the model's own",
    },
)
_REFINE: tuple[str, dict[str, Any]] = (
    "INT",
    {"default": 0, "min": 0, "max": 200, "tooltip": "steps down the energy: 3 to 10"},
)
_CANVAS: tuple[str, dict[str, Any]] = (
    "INT",
    {"default": -1, "min": -1, "max": 8192, "tooltip": "-1: the model's, 0: the image's own size"},
)
_SAMPLER: dict[str, Any] = {
    "guidance": (
        "FLOAT",
        {"default": 0.0, "min": 0.0, "max": 10.0, "step": 0.25, "tooltip": "0: the model's own"},
    ),
    "temperature": (
        "FLOAT",
        {"default": -1.0, "min": -1.0, "max": 2.0, "step": 0.05, "tooltip": "-1: the model's own"},
    ),
}
_SEED: tuple[str, dict[str, int]] = ("INT", {"default": 0, "min": 0, "max": 2**31 - 1})
_STEPS: tuple[str, dict[str, Any]] = (
    "INT",
    {"default": 0, "min": 0, "max": 200, "tooltip": "0: the model's own"},
)


class LGTStylize:
    """Paints images: IMAGE in, IMAGE out."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "stylize"
    CATEGORY = CATEGORY
    DESCRIPTION = "Paints images in a style; each keeps its size."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Describe the inputs."""
        return {
            "required": {
                "model": ("LGT_MODEL",),
                "image": ("IMAGE",),
                "style": (style_choices(),),
                **_CONTROLS,
                "steps": _STEPS,
                "seed": _SEED,
            },
            "optional": {
                "style_file": ("STRING", {"default": "", "tooltip": "file of lgt add-style"}),
                "canvas": _CANVAS,
                "color": _COLOR,
                "refine": _REFINE,
                **_SAMPLER,
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, style: str) -> bool:  # noqa: N802
        """Accept any style by name: whether the model has it is known when it is there."""
        return bool(style)

    def stylize(
        self,
        model: LGTPipeline,
        image: torch.Tensor,
        style: str,
        strength: float,
        style_scale: float,
        detail: float,
        preserve_color: bool,
        steps: int,
        seed: int,
        style_file: str = "",
        canvas: int = -1,
        color: float = -1.0,
        refine: int = 0,
        guidance: float = 0.0,
        temperature: float = -1.0,
    ) -> tuple[torch.Tensor]:
        """Return the painted images."""
        painted = model(
            image[..., :3].movedim(-1, 1).clamp(0, 1),
            style_file or style,
            strength=strength,
            num_inference_steps=steps or None,
            guidance_scale=guidance or None,
            temperature=None if temperature < 0 else temperature,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
            canvas=None if canvas < 0 else canvas,
            style_scale=style_scale,
            detail=None if detail < 0 else detail,
            color=None if color < 0 else color,
            refine=refine,
            preserve_color=preserve_color,
            callback=progress_of(100),
        ).images
        return (painted.movedim(1, -1).contiguous().float().cpu(),)


class LGTEncode:
    """Encodes images to Stable Diffusion latents with the model's codec."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Describe the inputs."""
        return {"required": {"model": ("LGT_MODEL",), "image": ("IMAGE",)}}

    @torch.no_grad()
    def encode(self, model: LGTPipeline, image: torch.Tensor) -> tuple[dict[str, torch.Tensor]]:
        """Return `samples`; sides are padded to what the codec divides."""
        from lgt.codec import encode_image

        pixels = image[..., :3].movedim(-1, 1).clamp(0, 1).float()
        multiple = model.codec.spec.downscale
        height, width = pixels.shape[-2:]
        padding = (0, -width % multiple, 0, -height % multiple)
        scaled = encode_image(model.codec, F.pad(pixels, padding, mode="replicate"), model.device)
        return ({"samples": scaled.float().cpu() / _scale(model.lgt)},)


class LGTTransfer:
    """Gives latents a style: LATENT in, LATENT out; for ComfyUI's own VAE nodes."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "transfer"
    CATEGORY = CATEGORY
    DESCRIPTION = "Gives latents of Stable Diffusion 1.5 a style."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Describe the inputs."""
        return {
            "required": {
                "model": ("LGT_MODEL",),
                "samples": ("LATENT",),
                "style": (style_choices(),),
                "strength": _CONTROLS["strength"],
                "steps": _STEPS,
                "seed": _SEED,
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, style: str) -> bool:  # noqa: N802
        """Accept any style by name: whether the model has it is known when it is there."""
        return bool(style)

    def transfer(
        self,
        model: LGTPipeline,
        samples: dict[str, Any],
        style: str,
        strength: float,
        steps: int,
        seed: int,
    ) -> tuple[dict[str, Any]]:
        """Return the latents; whatever else the dict holds is kept."""
        latents = samples["samples"].float()
        scaled = latents * _scale(model.lgt)
        painted = model.lgt.transfer_style(
            scaled, None, style, steps or None, seed=seed, progress=progress_of(100)
        ).cpu()
        mixed = scaled.cpu() + strength * (painted - scaled.cpu())
        return ({**samples, "samples": mixed / _scale(model.lgt)},)


class LGTDecode:
    """Decodes latents to images with the model's codec."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"
    CATEGORY = CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Describe the inputs."""
        return {"required": {"model": ("LGT_MODEL",), "samples": ("LATENT",)}}

    @torch.no_grad()
    def decode(self, model: LGTPipeline, samples: dict[str, Any]) -> tuple[torch.Tensor]:
        """Return the images."""
        from lgt.codec import decode_latent

        scaled = samples["samples"].float().to(model.device) * _scale(model.lgt)
        images = decode_latent(model.codec, scaled)
        return (images.movedim(1, -1).clamp(0, 1).contiguous().float().cpu(),)


def _scale(lgt: LGTInference) -> float:
    """Return scaled latents / ComfyUI's samples."""
    spec = lgt.codec_spec
    if spec is not None and spec.is_stable_diffusion:
        return SD_SCALE
    return 1.0


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LGTModelLoader": LGTModelLoader,
    "LGTStylize": LGTStylize,
    "LGTEncode": LGTEncode,
    "LGTTransfer": LGTTransfer,
    "LGTDecode": LGTDecode,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LGTModelLoader": "LGT: load model",
    "LGTStylize": "LGT: paint images",
    "LGTEncode": "LGT: encode",
    "LGTTransfer": "LGT: transfer latents",
    "LGTDecode": "LGT: decode",
}

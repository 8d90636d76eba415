"""`LGTPipeline`: a trained model in the manner of diffusers' pipelines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from lgt import __version__
from lgt.codec import LatentCodec
from lgt.damage import in_short
from lgt.errors import CheckpointError, InputError
from lgt.files import atomic_write
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import portable_config, write_release
from lgt.model.shipped import EMBEDDED, MODEL_NAME, find_model
from lgt.model.styles import Style
from lgt.paint.transfer import LGTInference
from lgt.pipeline_io import as_output, for_each, pictures, seed_of

CONFIG_NAME, CARD_NAME, CODEC_FOLDER = "config.json", "README.md", "codec"
OUTPUT_TYPES = ("pil", "pt", "np")


@dataclass
class PipelineOutput:
    """What a call of the pipeline returns."""

    images: list[Image.Image] | Tensor | np.ndarray[Any, Any]
    """PIL pictures; or a tensor `[B, 3, H, W]`; or an array `[B, H, W, 3]`, both in [0, 1]."""


_SHIPPED_LICENSE = "\nlicense: mit"
_SHIPPED_NOTE = """This is the model inside the package lgt. What it was trained on, and where it
fails, is in the package's own card, `lgt/assets/model/README.md`."""
_NOTE = """Say here what the model was trained on, under which terms those pictures may be
used, and what the model is not fit for."""


class LGTPipeline:
    """Pictures in, painted pictures out.

    Make one with :meth:`from_pretrained`.

    Args:
        model: The file of the model, or `embedded`.
        codec: A source for `lgt.codec.load_codec`; None: the model's own.
        device: Where it computes.
    """

    def __init__(
        self,
        model: str | Path = EMBEDDED,
        *,
        codec: str | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.model, self.codec_source = model, codec
        self._checkpoint_path = find_model(model)
        self.lgt = LGTInference(model, device)
        self.codec: LatentCodec = self.lgt.load_codec(codec)
        self._shows_progress = True

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = EMBEDDED,
        *,
        device: str | torch.device = "cpu",
        codec: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | None = None,
    ) -> LGTPipeline:
        """Load a model.

        Args:
            source: `embedded`, a model file, a folder of :meth:`save_pretrained`, or a hub id
                `owner/name`.
            device: Where it computes.
            codec: Another image codec; None: the folder's `codec`, else the model's own.
            revision: Branch, tag or commit of the hub repository.
            local_files_only: Take what is in the hub cache and ask no network.
            token: For private repositories.

        Raises:
            CheckpointError: It is not there, can not be fetched, or holds no model.
        """
        place = Path(source)
        if str(source) == EMBEDDED or place.is_file():
            return cls(source, codec=codec, device=device)
        if not place.is_dir():
            place = _fetch(str(source), revision, local_files_only, token)
        if not (place / MODEL_NAME).is_file():
            raise CheckpointError(
                f"{source}: holds no {MODEL_NAME}; give a folder of save_pretrained, a file of "
                "`lgt pack` or `lgt train`, or 'embedded'"
            )
        if codec is None and (place / CODEC_FOLDER / CONFIG_NAME).is_file():
            codec = str(place / CODEC_FOLDER)
        return cls(place / MODEL_NAME, codec=codec, device=device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.lgt.device

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles; those of `lgt add-style` join when they are first named."""
        return self.lgt.style_names

    def to(self, device: str | torch.device) -> LGTPipeline:
        """Move to a device and return itself."""
        from lgt.device import resolve_device

        chosen = resolve_device(device)
        self.lgt.network.to(chosen)
        self.lgt.device = chosen
        self.codec = self.codec.to(chosen, self.lgt.dtype)
        return self

    def set_progress_bar_config(self, *, disable: bool = False) -> None:
        """Switch the progress bar off or on."""
        self._shows_progress = not disable

    def __call__(
        self,
        image: Image.Image | Tensor | np.ndarray[Any, Any] | Sequence[Image.Image],
        style: Style | Sequence[Style],
        *,
        strength: float = 1.0,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        temperature: float | None = None,
        generator: Generator | Sequence[Generator] | None = None,
        output_type: str = "pil",
        source_style: str | int | None = None,
        callback: Callable[[float], None] | None = None,
        return_dict: bool = True,
        **controls: Any,
    ) -> PipelineOutput:
        """Paint pictures; each keeps its size.

        Args:
            image: A PIL picture or a list of them; a tensor `[3, H, W]` or `[B, 3, H, W]` or an
                array `[H, W, 3]` or `[B, H, W, 3]`, in [0, 1].
            style: Style for all, or a list with one for each: name, id, style file, or a mapping
                from styles to weights.
            strength: 0 gives the picture back, 1 the full style.
            num_inference_steps: Solver steps; None: the model's.
            guidance_scale: Guidance scale s in `u + s (c - u)`; 1 is off; None: the model's.
            temperature: sigma of the late noise; 0 is none; None: the model's.
            generator: Of the noise, one for all or one for each; None draws anew. A seeded one
                gives the same pictures again.
            output_type: `pil`, `pt` or `np`.
            source_style: Style that the pictures have, if known.
            callback: Is told the fraction done, in [0, 1]; what it raises stops the work.
            return_dict: False: return a tuple whose first part is the pictures, as diffusers do.
            controls: Further controls of `LGTInference.stylize`, such as `detail=1.0`.

        Raises:
            InputError: An argument is out of range, or there is no such style.
        """
        if output_type not in OUTPUT_TYPES:
            raise InputError(
                f"output_type must be one of {', '.join(OUTPUT_TYPES)} (got '{output_type}')"
            )
        sampler = self.lgt.sampler_with(
            num_steps=num_inference_steps,
            cfg_scale=guidance_scale,
            temperature_lambda=temperature,
        )
        photos = pictures(image)
        styles = for_each(style, len(photos), "styles")
        seeds = [seed_of(g) for g in for_each(generator, len(photos), "generators")]
        painted = []
        with self._bar() as bar:
            for index, (picture, wanted, seed) in enumerate(
                zip(photos, styles, seeds, strict=True)
            ):

                def report(fraction: float, done: int = index) -> None:
                    whole = (done + fraction) / len(photos)
                    if bar is not None:
                        bar.update(bar.task_ids[0], completed=whole)
                    if callback is not None:
                        callback(whole)

                painted.append(
                    self.lgt.stylize(
                        picture,
                        wanted,
                        codec=self.codec,
                        source_style=source_style,
                        sampler=sampler,
                        seed=seed,
                        strength=strength,
                        progress=report,
                        **controls,
                    )
                )
        output = as_output(painted, output_type)
        if return_dict:
            return PipelineOutput(output)
        return (output,)  # type: ignore[return-value]

    def save_pretrained(self, folder: str | Path, *, include_codec: bool = False) -> Path:
        """Write `model.safetensors`, `config.json` and a model card; return the folder.

        Args:
            folder: Made where it is missing; files of these names are replaced.
            include_codec: Also write the codec's weights, to `codec`; only for codecs of diffusers.

        Raises:
            InputError: It can not be written, or the codec has no weights to write.
        """
        place = Path(folder)
        if place.exists() and not place.is_dir():
            raise InputError(f"{place}: is a file, not a folder")
        checkpoint = Checkpoint.load(self._checkpoint_path)
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_release(checkpoint, place / MODEL_NAME)
            values = portable_config(checkpoint.config, None)
            content = {**self._description(), "config": values}
            _write(place / CONFIG_NAME, json.dumps(content, indent=2) + "\n")
            _write(place / CARD_NAME, self.model_card())
            if include_codec:
                self._save_codec(place / CODEC_FOLDER)
        except OSError as error:
            raise InputError(f"{place}: can not be written ({error.strerror})") from error
        return place

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        commit_message: str = "Upload an LGT model",
        token: str | None = None,
        include_codec: bool = False,
        api: Any = None,
    ) -> str:
        """Upload what :meth:`save_pretrained` writes to the hub and return the address.

        Args:
            repo_id: `owner/name`; made where it is missing.
            private: Whether a new repository is private.
            commit_message: Of the upload.
            token: None: the one of `hf auth login`.
            include_codec: See :meth:`save_pretrained`.
            api: A `huggingface_hub.HfApi`, or an object with its methods.

        Raises:
            InputError: `repo_id` is not `owner/name`, or the hub can not be reached or refuses.
        """
        if repo_id.count("/") != 1 or not all(repo_id.split("/")):
            raise InputError(f"repo_id must be owner/name (got '{repo_id}')")
        if api is None:
            from huggingface_hub import HfApi

            api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, include_codec=include_codec)
            try:
                api.create_repo(repo_id, private=private, exist_ok=True)
                done = api.upload_folder(
                    repo_id=repo_id, folder_path=folder, commit_message=commit_message
                )
            except Exception as error:  # Each release of the client has its own.
                raise InputError(
                    f"{repo_id}: could not be uploaded ({in_short(error)}); is there a network, "
                    "and may the token of `hf auth login` write there?"
                ) from error
        return str(done)

    def model_card(self) -> str:
        """Return the text of the model card, with the hub's header."""
        spec = self.lgt.codec_spec
        count = sum(weight.numel() for weight in self.lgt.network.parameters())
        names = "\n".join(f"- {name}" for name in self._own_styles())
        is_shipped = Path(self._checkpoint_path) == find_model(EMBEDDED)
        return f"""---
library_name: lgt
pipeline_tag: image-to-image{_SHIPPED_LICENSE if is_shipped else ""}
tags:
- style-transfer
- lgt
---

# LGT model

One network of {count / 1e6:.2f} million weights that gives pictures a style, in the latents of the
codec `{"unknown" if spec is None else spec.name}`. Made with lgt {__version__}.

## Styles

{names}

## Use

```python
from lgt import LGTPipeline
from PIL import Image

pipe = LGTPipeline.from_pretrained("OWNER/NAME")
pipe(Image.open("photo.jpg"), style="{self.lgt.painted_styles[0]}").images[0].save("painted.png")
```

{_SHIPPED_NOTE if is_shipped else _NOTE}
"""

    def _own_styles(self) -> tuple[str, ...]:
        return self.lgt.style_names[: self.lgt.network.num_styles]

    def _description(self) -> dict[str, Any]:
        return {
            "_class_name": type(self).__name__,
            "_lgt_version": __version__,
            "styles": list(self._own_styles()),
        }

    def _save_codec(self, folder: Path) -> None:
        model = getattr(self.codec, "model", None)
        if model is None or not hasattr(model, "save_pretrained"):
            raise InputError(
                f"codec {self.codec.spec.name} has no weights to write; use include_codec=False"
            )
        model.save_pretrained(folder)

    def _bar(self) -> Any:
        if not self._shows_progress:
            return nullcontext(None)
        from rich.console import Console
        from rich.progress import Progress

        progress = Progress(console=Console(stderr=True), transient=True)
        progress.add_task("painting", total=1.0)
        return progress


def _fetch(hub_id: str, revision: str | None, local_files_only: bool, token: str | None) -> Path:
    """Return the local folder of a hub repository."""
    if hub_id.count("/") != 1 or hub_id.startswith((".", "/", "~")):
        raise CheckpointError(
            f"{hub_id}: no such file or folder, and not a hub id owner/name (working directory: "
            f"{Path.cwd()})"
        )
    from huggingface_hub import snapshot_download

    patterns = [MODEL_NAME, CONFIG_NAME, f"{CODEC_FOLDER}/*"]
    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=patterns,
                local_files_only=local_files_only,
                token=token,
            )
        )
    except Exception as error:  # Absent, private, offline: each release has its own exceptions.
        text = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{hub_id}: no such folder here, and the hub did not give it ({text}); check the name "
            "and the network, or give a local folder"
        ) from error


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

"""The contact sheet beside each checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from lgt.codec import LatentCodec, decode_latent, encode_image, load_codec
from lgt.codec.stored import check_stored_source
from lgt.config.schema import Config
from lgt.data.dataset import LatentDataset
from lgt.errors import CodecError, InputError, LGTError
from lgt.files import atomic_write
from lgt.image import contact_sheet, open_image, to_image, to_tensor
from lgt.metrics.folders import pictures_in, spread
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.train.probe import outputs_of_styles


class SampleSheet:
    """A fixed choice of sources, and pictures of them in every style.

    Args:
        config: Number of samples, folder of photos, solver and folder of checkpoints.
        dataset: Where sources come from if no folder of photos is named.
        source_styles: Styles of sources.
        warn: Told once why there are no sheets.

    Raises:
        InputError: `checkpoint.preview_dir` does not exist or holds no image.
    """

    def __init__(
        self,
        config: Config,
        dataset: LatentDataset,
        source_styles: list[int],
        warn: Callable[[str], None],
    ) -> None:
        self.config, self.dataset, self._warn = config, dataset, warn
        keys = config.checkpoint
        count = max(1, keys.num_samples)
        chosen: list[int] = []
        for position in range(count):
            members = dataset.indices_of(source_styles[position % len(source_styles)])
            spaced = position // len(source_styles) * max(1, len(members) // count)
            chosen.append(int(members[spaced % len(members)]))
        self.indices = torch.tensor(chosen)
        self._photos: list[Path] = []
        if keys.preview_dir and keys.num_samples:
            found = pictures_in(Path(keys.preview_dir), "checkpoint.preview_dir")
            self._photos = spread(found, keys.num_samples)
        self._pictures: list[Image.Image] = []
        self._encoded: Tensor | None = None
        self._codec: LatentCodec | None = None
        self._is_broken = False

    @property
    def styles(self) -> Tensor:
        """Style id of each source."""
        return self.dataset.style_ids[self.indices]

    def path_of(self, checkpoint_path: Path) -> Path:
        """Return where the sheet of a checkpoint lies."""
        return checkpoint_path.parent / "samples" / f"{checkpoint_path.stem}.png"

    def write(self, network: LGTUNet, checkpoint_path: Path) -> Path | None:
        """Write `samples/<checkpoint's name>.png`: photos, round trips, then a column a style.

        What prevents it, such as a codec that can not be loaded or has other latents, is told once.
        """
        if self.config.checkpoint.num_samples == 0 or self._is_broken:
            return None
        path = self.path_of(checkpoint_path)
        network.eval()
        try:
            sheet = self._sheet(network)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                sheet.save(temporary, "PNG")
        except (LGTError, OSError, MemoryError, RuntimeError) as error:
            self._is_broken = True
            self._warn(f"no sample sheets: {error}")
            return None
        return path

    def _sheet(self, network: LGTUNet) -> Image.Image:
        device = next(network.parameters()).device
        if self._photos:
            x_src = self._encode_photos()
            styles = torch.full((len(x_src),), NULL_STYLE)
            names = [path.stem[:20] for path in self._photos]
        else:
            x_src, styles = self.dataset.latents[self.indices], self.styles
            names = [self.dataset.style_names[style] for style in styles.tolist()]
        x_src = x_src.to(device)
        outputs = outputs_of_styles(network, x_src, styles.to(device), self.config)
        codec = self._load_codec()
        rows = [
            [to_image(decode_latent(codec, z[row : row + 1].float())) for z in (x_src, *outputs)]
            for row in range(len(x_src))
        ]
        if self._pictures:
            rows = [[photo, *row] for photo, row in zip(self._pictures, rows, strict=True)]
        photo = ["photo"] if self._photos else []
        return contact_sheet(rows, names, [*photo, "codec round trip", *self.dataset.style_names])

    def _encode_photos(self) -> Tensor:
        """Read and encode the photos, once; those that can not be read are told and left out."""
        if self._encoded is not None:
            return self._encoded
        codec, known = self._load_codec(), self.dataset.codec
        channels, height, width = self.dataset.latents.shape[1:]
        if codec.spec.latent_channels != channels:
            raise CodecError(
                f"the codec {codec.spec.name} has {codec.spec.latent_channels} channels, the "
                f"latents have {channels}; set data.codec"
            )
        if known is not None and not codec.spec.is_compatible(known):
            raise CodecError(
                f"the codec {codec.spec.name} gives other latents than {known.name}, which made "
                "the data; photos of checkpoint.preview_dir can not be encoded with it"
            )
        size = (width * codec.spec.downscale, height * codec.spec.downscale)
        readable = []
        for path in self._photos:
            try:
                image = open_image(path, min_side=min(size))
            except InputError as error:
                self._warn(f"preview left out: {error}")
                continue
            readable.append(path)
            self._pictures.append(ImageOps.fit(image, size, Image.Resampling.LANCZOS))
        self._photos = readable
        if not readable:
            raise InputError("checkpoint.preview_dir: none of its images can be read")
        latents = [encode_image(codec, to_tensor(picture)) for picture in self._pictures]
        self._encoded = torch.cat(latents).float()
        return self._encoded

    def _load_codec(self) -> LatentCodec:
        if self._codec is None:
            source, known = self.config.data.codec, self.dataset.codec
            if known is not None and known.source != source:
                source = check_stored_source(
                    known.source, "the manifest of the latents", "data.codec"
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._codec = load_codec(source)
        return self._codec

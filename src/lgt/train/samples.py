"""The contact sheet beside each checkpoint."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from lgt.codec import LatentCodec, decode_latent, load_codec
from lgt.config.schema import Config
from lgt.data.dataset import LatentDataset
from lgt.errors import LGTError
from lgt.image import contact_sheet, to_image
from lgt.nn import LGTUNet
from lgt.train.log import Reporter
from lgt.train.probe import outputs_of_styles


class SampleSheet:
    """A fixed choice of sources, and pictures of them in every style.

    Args:
        config: Number of samples, solver and folder.
        dataset: Where sources come from.
        source_styles: Styles of sources.
    """

    def __init__(self, config: Config, dataset: LatentDataset, source_styles: list[int]) -> None:
        self.config, self.dataset = config, dataset
        count = max(1, config.checkpoint.num_samples)
        chosen: list[int] = []
        for position in range(count):
            members = dataset.indices_of(source_styles[position % len(source_styles)])
            spread = position // len(source_styles) * max(1, len(members) // count)
            chosen.append(int(members[spread % len(members)]))
        self.indices = torch.tensor(chosen)
        self._codec: LatentCodec | None = None
        self._is_broken = False

    @property
    def styles(self) -> Tensor:
        """Style id of each source."""
        return self.dataset.style_ids[self.indices]

    def write(self, network: LGTUNet, checkpoint_path: Path, reporter: Reporter) -> Path | None:
        """Write `samples/<checkpoint's name>.png`: round trips first, then a column a style.

        A codec that can not be loaded, or has other latents, gives one message and no sheet.
        """
        if self.config.checkpoint.num_samples == 0 or self._is_broken:
            return None
        path = checkpoint_path.parent / "samples" / f"{checkpoint_path.stem}.png"
        device = next(network.parameters()).device
        x_src = self.dataset.latents[self.indices].to(device)
        network.eval()
        outputs = outputs_of_styles(network, x_src, self.styles.to(device), self.config)
        columns = [x_src, *outputs]
        try:
            codec = self._load_codec()
            pictures = [
                [to_image(decode_latent(codec, z[row : row + 1].float())) for z in columns]
                for row in range(len(x_src))
            ]
        except LGTError as error:
            self._is_broken = True
            reporter.message(f"no sample sheets: {error}")
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [self.dataset.style_names[style] for style in self.styles.tolist()]
        contact_sheet(pictures, names, ["codec round trip", *self.dataset.style_names]).save(path)
        return path

    def _load_codec(self) -> LatentCodec:
        if self._codec is None:
            source = (
                self.config.data.codec if self.dataset.codec is None else self.dataset.codec.source
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._codec = load_codec(source)
        return self._codec

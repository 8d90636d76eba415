"""A stylist that paints nothing, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PIL import Image, ImageOps

from lgt.errors import InputError
from lgt.paint.provenance import CodecRecord, FileRecord, Provenance
from lgt.web.settings import Settings
from lgt.web.stylist import Progress, Style


class FakeStylist:
    """Inverts photos; waits in the middle while `gate` is closed.

    Args:
        pictures: Folder with one small picture per style; None: no pictures.
        sample: A photo to try.
    """

    name = "fake"
    device = "cpu"
    is_random = False
    defaults: ClassVar = {
        **{"canvas": 512, "detail": 0.5, "color": 0.0, "refine": 0},
        **{"num_steps": 1, "temperature_lambda": 0.0},
    }

    def __init__(self, pictures: Path | None = None, sample: Path | None = None) -> None:
        names = ("photo", "monet", "durer", "ukiyoe")
        self.styles: Sequence[Style] = [
            Style(n, None if pictures is None else pictures / f"{n}.jpg", n != "photo")
            for n in names
        ]
        self.sample = sample
        self.error: Exception | None = None
        self.calls: list[tuple[Image.Image, Settings, Image.Image | None]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.stopped = threading.Event()

    def stylize(
        self,
        image: Image.Image,
        settings: Settings,
        mask: Image.Image | None,
        progress: Progress,
    ) -> Image.Image:
        self.calls.append((image, settings, mask))
        if self.error is not None:
            raise self.error
        if settings.repulsion == 9:
            raise InputError("repulsion: this model knows none")
        if settings.repulsion == 8:
            raise RuntimeError("secret of the inside")
        try:
            progress(0.4)
            while not self.gate.wait(0.01):
                progress(0.5)
            progress(0.9)
        except BaseException:
            self.stopped.set()
            raise
        return ImageOps.invert(image)

    def provenance(
        self, settings: Settings, photo: FileRecord, mask: FileRecord | None
    ) -> Provenance | None:
        return Provenance(
            model=FileRecord(name=self.name, sha256="0" * 16),
            codec=CodecRecord(name="fake"),
            device=self.device,
            input=photo,
            style={settings.label: 1.0},
            seed=settings.seed or 0,
            masks={} if mask is None else {"mask": mask},
        )

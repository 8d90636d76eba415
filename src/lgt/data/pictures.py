"""Source images to the square pictures that are encoded, in threads."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor

from lgt.data.sources import Source, Variant
from lgt.data.store import LatentEntry
from lgt.errors import StorageError
from lgt.image import check_file, named_bytes, open_image, resize_and_crop, to_tensor
from lgt.stores import address_of, read_stored, shown

CROP_ZOOM = 1.25
"""Short side / window side of further crops, and the aspect ratio from which they need no zoom."""


@dataclass
class Decoded:
    """One decoded source: the pictures still to encode, or the reason why there are none."""

    source: Source
    sha256: str = ""
    """Of the file's bytes."""
    pictures: list[tuple[Variant, Tensor]] = field(default_factory=list)
    """What is still to encode."""
    matching: list[str] = field(default_factory=list)
    """Outputs that exist and match."""
    problem: str | None = None
    """Why the file could not be used."""


class Decoder:
    """Read, check and cut sources; raises only where a store of files does not answer.

    Args:
        root: Output folder, to see what exists.
        entries: The manifest's entries by output path.
        target_size: Side of the pictures, in pixels.
        is_sharded: Whether what exists is in shards, which are whole or absent.
    """

    def __init__(
        self,
        root: Path,
        entries: Mapping[str, LatentEntry],
        target_size: int,
        *,
        is_sharded: bool = False,
    ) -> None:
        self.root, self.is_sharded = root, is_sharded
        self.entries = entries
        self.target_size = target_size

    def decode_all(
        self, sources: Sequence[Source], num_workers: int, *, ahead: int
    ) -> Iterator[Decoded]:
        """Yield all sources in order, decoded by threads at most `ahead` before they are taken.

        Args:
            sources: What to decode.
            num_workers: Threads; 0 decodes each source when it is taken.
            ahead: Bound of the decoded sources in memory.
        """
        if num_workers == 0:
            yield from map(self.decode, sources)
            return
        pending: deque[Future[Decoded]] = deque()
        with ThreadPoolExecutor(num_workers, thread_name_prefix="lgt-decode") as pool:
            try:
                for source in sources:
                    pending.append(pool.submit(self.decode, source))
                    if len(pending) >= ahead:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def decode(self, source: Source) -> Decoded:
        """Decode one source, unless all its outputs exist and match."""
        item = Decoded(source)
        try:
            data = _bytes(source.path)
            item.sha256 = hashlib.sha256(data).hexdigest()
            missing = []
            for variant in source.variants:
                if self._matches(source, variant, item.sha256):
                    item.matching.append(variant.output)
                else:
                    missing.append(variant)
            if missing:
                image = _open(data, source, 2 * self.target_size)
                item.pictures = [(variant, self._cut(image, variant)) for variant in missing]
        except StorageError:  # The picture may be as it was: what was made of it must stay.
            raise
        except Exception as error:  # one bad file, of whatever kind, must not end the run
            said = str(error).removeprefix(f"{shown(source.path)}: ")
            item.problem = said or type(error).__name__
        return item

    def _cut(self, image: Image.Image, variant: Variant) -> Tensor:
        position, zoom = crop_window(variant.crop, *image.size)
        picture = resize_and_crop(image, self.target_size, position=position, zoom=zoom)
        return to_tensor(ImageOps.mirror(picture) if variant.hflip else picture)

    def _matches(self, source: Source, variant: Variant, sha256: str) -> bool:
        entry = self.entries.get(variant.output)
        if entry is None:
            return False
        made = (entry.source, entry.sha256, entry.crop, entry.hflip)
        if made != (source.name, sha256, variant.crop, variant.hflip):
            return False
        if self.is_sharded:
            return True
        try:
            return (self.root / variant.output).stat().st_size == entry.num_bytes
        except OSError:
            return False


def _bytes(path: Path) -> bytes:
    if (address := address_of(path)) is not None:
        return read_stored(address)
    check_file(path)
    return path.read_bytes()


def _open(data: bytes, source: Source, min_side: int) -> Image.Image:
    return open_image(named_bytes(data, shown(source.path)), min_side=min_side)


def crop_window(crop: int, width: int, height: int) -> tuple[tuple[float, float], float]:
    """Return the position and the zoom of a crop, as `resize_and_crop` takes them.

    Crop 0 is the whole short side, centred. Crop k > 0 lies at the k-th point of a Halton sequence
    (bases 2 and 3), so that more crops add pictures and move none. Where the long side is less
    than a quarter longer than the short one, these windows are 1 / 1.25 of the short side: they
    would nearly coincide otherwise.
    """
    if crop == 0:
        return (0.5, 0.5), 1.0
    slack = max(width, height) / min(width, height)
    zoom = 1.0 if slack >= CROP_ZOOM else CROP_ZOOM
    return (_radical_inverse(crop, 2), _radical_inverse(crop, 3)), zoom


def _radical_inverse(index: int, base: int) -> float:
    """Mirror the digits of an index at the point, stretched so that the ends 0 and 1 are reached.

    In base 2 the sequence 1, 2, 3, ... gives 0, 1, 1/4, 3/4, ... after the centre.
    """
    if index <= 2:
        return float(index - 1)
    value, step, rest = 0.0, 1.0, index - 1
    while rest:
        step /= base
        rest, digit = divmod(rest, base)
        value += digit * step
    return value

"""Paint many photos: files are read and written by threads while the network works."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.batch.sources import PhotoFile, Work
from lgt.errors import LGTError
from lgt.image import check_size, image_format, limited_size, save_image, write_image
from lgt.paint.painter import Painter
from lgt.paint.picture import Picture, decode_picture, read_picture
from lgt.paint.provenance import FileRecord, Provenance, read_provenance, short_sha256
from lgt.paint.recipe import Recipe
from lgt.stores import address_of, opened_stored, read_stored, shown, stored_at, write_stored
from lgt.video import VideoResult


@dataclass(frozen=True)
class Result:
    """What became of one picture or video."""

    photo: PhotoFile
    output: Path
    label: str
    """Of its recipe."""
    size: tuple[int, int] | None = None
    """Width and height; None where nothing was painted."""
    seconds: float = 0.0
    """Time of painting, without reading and writing."""
    is_skipped: bool = False
    """Whether the file was there already."""
    problem: str | None = None
    """Why there is no picture."""
    video: VideoResult | None = None
    """Of a video that was painted."""


@dataclass
class Read:
    """A photo that was read, or the reason why it could not be."""

    work: Work
    picture: Picture | None = None
    present: set[str] = field(default_factory=set)
    """Labels of the pictures that are there already."""
    problem: str | None = None


def stylize_files(
    painter: Painter,
    works: Sequence[Work],
    recipes: Mapping[str, Recipe],
    *,
    overwrite: bool = False,
    has_metadata: bool = True,
    num_workers: int = 2,
) -> Generator[Result, None, None]:
    """Paint every recipe of every photo; yield a result for each, photo by photo.

    A photo that can not be read, painted or written gives results with a problem, and the next
    one follows. Closing the iterator early, or an exception such as Ctrl-C, leaves whole files
    only; the same call again goes on where it stopped.

    Args:
        painter: Model and codec.
        works: From `plan_works`.
        recipes: By the labels of the works.
        overwrite: Also paint what is there: a file newer than its photo whose provenance is what
            it would be now. Of a photo dated in the future only its hash counts.
        has_metadata: Write provenance and the photo's EXIF; files without it are never skipped.
        num_workers: Threads for reading, and as many for writing; so many photos and pictures
            more than the one being painted are in memory. 0 is 1.
    """
    recipes = {label: painter.named(recipe) for label, recipe in recipes.items()}
    workers = max(1, num_workers)
    writing: deque[tuple[Result, Future[None]]] = deque()
    with (
        ThreadPoolExecutor(workers, thread_name_prefix="lgt-write") as writers,
        ThreadPoolExecutor(workers, thread_name_prefix="lgt-read") as readers,
    ):
        reading: deque[Future[Read]] = deque()
        read = Reading.of(painter, recipes, is_anew=overwrite or not has_metadata)
        queue = iter(works)
        try:
            while True:
                while len(reading) < workers and (work := next(queue, None)) is not None:
                    reading.append(readers.submit(read, work))
                if not reading:
                    break
                item = reading.popleft().result()
                for label, output in item.work.outputs.items():
                    result, picture = paint_one(painter, recipes[label], item, label, output)
                    done: Future[None] = Future()
                    if picture is None or item.picture is None:
                        done.set_result(None)
                    else:
                        metadata = metadata_of(painter, recipes[label], item.picture)
                        done = writers.submit(
                            write_picture, picture, output, metadata if has_metadata else {}
                        )
                    writing.append((result, done))
                    while writing and (len(writing) > workers or writing[0][1].done()):
                        yield _finished(*writing.popleft())
            while writing:
                yield _finished(*writing.popleft())
        finally:
            for future in reading:
                future.cancel()


@dataclass(frozen=True)
class Reading:
    """Reads the photos of works, unless all their pictures are there; needs no model."""

    expected: Mapping[str, Provenance]
    """What the pictures of each label would say of how they were made, but for the photo."""
    is_anew: bool
    """Whether pictures that are there count for nothing."""
    max_side: int | None
    """Of the largest picture that is painted, in pixels."""

    @classmethod
    def of(cls, painter: Painter, recipes: Mapping[str, Recipe], *, is_anew: bool) -> Reading:
        """Return what reads for a painter's recipes."""
        sides = [recipe.controls.max_side for recipe in recipes.values()]
        known = [side for side in sides if side is not None]
        largest = max(known) if len(known) == len(sides) else None
        unknown = FileRecord(name="photo", sha256=short_sha256(b""))
        expected = {label: painter.provenance(recipe, unknown) for label, recipe in recipes.items()}
        return cls(expected, is_anew, largest)

    def __call__(self, work: Work) -> Read:
        """Read a work's photo; never raises."""
        item = Read(work)
        try:
            if not self.is_anew:
                item.present = set(self._present(work))
            if len(item.present) < len(work.outputs):
                item.picture = _picture(work.photo.path, self.max_side)
        except Exception as error:  # One bad file, of whatever kind, must not end the run.
            item.problem = reason_of(error, work.photo.path)
        return item

    def _present(self, work: Work) -> Iterator[str]:
        """Yield the labels of the pictures that need no painting."""
        record = None
        for label, output in work.outputs.items():
            with suppress(LGTError, OSError):
                if is_outdated(output, work.photo.path):
                    continue
                made = _provenance(output)
                if made is None:
                    continue
                if record is None:
                    data = _bytes(work.photo.path)
                    record = FileRecord(name=work.photo.path.name, sha256=short_sha256(data))
                if made.is_same_work(self.expected[label].model_copy(update={"input": record})):
                    yield label


def is_outdated(output: Path, source: Path) -> bool:
    """Tell a result older than its source.

    Where a store does not tell, or a date is in the future, the hash decides.

    Raises:
        OSError: One of them is not there.
        InputError: The same of files in a store.
    """
    written, taken = _time(output), _time(source)
    if written is None or taken is None:
        return False
    return written < taken <= time.time()


def write_picture(picture: Image.Image, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write a picture to a file, or into a store.

    Args:
        picture: The picture.
        path: Path or address; its suffix tells the format.
        metadata: See :func:`metadata_of`.

    Raises:
        InputError: It can not be written.
    """
    address = address_of(path)
    if address is None:
        save_image(picture, path, **metadata)
        return
    buffer = io.BytesIO()
    write_image(picture, buffer, image_format(path), **metadata)
    write_stored(address, buffer.getvalue())


def _picture(path: Path, max_side: int | None) -> Picture:
    address = address_of(path)
    if address is None:
        return read_picture(path, max_side=max_side)
    return decode_picture(read_stored(address), path.name, address, max_side=max_side)


def _bytes(path: Path) -> bytes:
    address = address_of(path)
    return path.read_bytes() if address is None else read_stored(address)


def _provenance(path: Path) -> Provenance | None:
    address = address_of(path)
    if address is None:
        return read_provenance(path)
    with opened_stored(address) as file:
        return read_provenance(file)


def _time(path: Path) -> float | None:
    address = address_of(path)
    return path.stat().st_mtime if address is None else stored_at(address)


def paint_one(
    painter: Painter, recipe: Recipe, item: Read, label: str, output: Path
) -> tuple[Result, Image.Image | None]:
    """Paint a recipe of a photo that was read; return what became of it, and the picture."""
    state = partial(Result, item.work.photo, output, label)
    if label in item.present:
        return state(is_skipped=True), None
    if item.picture is None:
        return state(problem=item.problem), None
    began = time.perf_counter()
    try:
        size = limited_size(item.picture.image.size, recipe.controls.max_side)
        check_size(image_format(output), size, output.name)
        is_last = len(item.work.outputs) == 1
        picture = painter.paint(item.picture.image, recipe, overwrite=is_last)
    except Exception as error:  # Such as a picture too large for the memory.
        return state(problem=reason_of(error, item.work.photo.path)), None
    return state(size=picture.size, seconds=time.perf_counter() - began), picture


def metadata_of(painter: Painter, recipe: Recipe, photo: Picture) -> dict[str, Any]:
    """Return what a picture's file is to say besides its pixels."""
    made = painter.provenance(recipe, photo.record)
    return {"text": made.to_json(), "exif": photo.exif}


def _finished(result: Result, done: Future[None]) -> Result:
    """Wait for a picture's file; return the result with what went wrong."""
    try:
        done.result()
    except Exception as error:  # Such as a full disk.
        return Result(result.photo, result.output, result.label, problem=reason_of(error))
    return result


def reason_of(error: Exception, path: Path | None = None) -> str:
    """Return what an error says, without the path that it may begin with."""
    text = str(error) or type(error).__name__
    return text if path is None else text.removeprefix(f"{shown(path)}: ")

"""Multipart forms to jobs."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from lgt.errors import InputError, StorageError
from lgt.web.decoding import BusyError, Decoders, Timed
from lgt.web.jobs import Job, Jobs, QueueFullError
from lgt.web.settings import Settings, parse_settings
from lgt.web.stylist import Stylist, check_styles
from lgt.web.uploads import (
    TooManyPixelsError,
    left_out,
    read_mask,
    read_photo,
    record_of,
    safe_stem,
    to_png,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from lgt.paint.provenance import FileRecord
    from lgt.web.limits import Limits
    from lgt.web.shelf import Shelf


KEEPING = (
    "results are kept for an hour, and while there is room for newer ones; ask for them sooner"
)


class Problem(HTTPException):
    """A refusal with a word that programs can test."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


async def queue_form(
    request: Request,
    stylist: Stylist,
    jobs: Jobs,
    decoders: Decoders,
    limits: Limits,
    *,
    file_field: str,
) -> list[Job]:
    """Queue what a form asks for: photos in `file_field`, an optional `mask` and the settings.

    Nothing is decoded before the queue has places for all of it.

    Raises:
        Problem: 413, 415, 422 or 503, with what is wrong.
    """
    check_form(request)
    is_batch = file_field == "images"
    num_files = limits.max_batch if is_batch else 2
    async with request.form(max_files=num_files, max_fields=40, max_part_size=16384) as form:
        photos, masks, fields = _sorted_parts(form, file_field)
        if not photos or len(photos) > num_files or (not is_batch and len(photos) > 1):
            most = f"1 to {num_files} files" if is_batch else "one file"
            raise Problem(422, "no_image", f"{file_field}: send {most} (got {len(photos)})")
        if len(masks) > (0 if is_batch else 1):
            raise Problem(422, "bad_mask", "mask: at most one, and none with several photos")
        for part in (*photos, *masks):
            check_size(part, limits)
        try:
            settings = parse_settings(fields)
            check_styles(stylist.styles, settings)
        except InputError as error:
            raise Problem(422, "bad_settings", str(error)) from error
        with refusing_when_full(jobs), jobs.places(len(photos)):
            new = []
            for photo in photos:
                make = partial(_make, stylist, jobs.shelf, settings, photo, masks, limits)
                with refusing_pictures():
                    new.append(await decoders.run(make))
            jobs.add(new, has_places=True)
            return new


def check_form(request: Request) -> None:
    """Refuse a body that is no form.

    Raises:
        Problem: 415.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(415, "not_a_form", "send a form: Content-Type must be multipart/form-data")


def check_size(part: UploadFile, limits: Limits) -> None:
    """Refuse a file of too many bytes.

    Raises:
        Problem: 413.
    """
    if (part.size or 0) > limits.max_upload:
        raise Problem(
            413,
            "too_large",
            f"{safe_stem(part.filename)}: {(part.size or 0) / 1e6:.1f} MB; at most "
            f"{limits.max_upload / 1e6:.0f} MB are taken",
        )


@contextmanager
def refusing_pictures() -> Iterator[None]:
    """Turn what is wrong with a picture into a refusal.

    Raises:
        Problem: 422.
    """
    try:
        yield
    except TooManyPixelsError as error:
        raise Problem(422, "too_many_pixels", str(error)) from error
    except InputError as error:
        raise Problem(422, "bad_image", str(error)) from error


def _sorted_parts(
    form: FormData, file_field: str
) -> tuple[list[UploadFile], list[UploadFile], dict[str, Any]]:
    photos: list[UploadFile] = []
    masks: list[UploadFile] = []
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in (file_field, "mask"):
                raise Problem(
                    422, "bad_settings", f"unknown file {name[:60]!r}; send {file_field} and mask"
                )
            (photos if name == file_field else masks).append(value)
        elif name in fields:
            raise Problem(422, "bad_settings", f"{name[:60]}: given more than once")
        else:
            fields[name] = value
    return photos, masks, fields


def _make(
    stylist: Stylist,
    shelf: Shelf,
    settings: Settings,
    part: UploadFile,
    masks: list[UploadFile],
    limits: Limits,
) -> Job:
    stem = safe_stem(part.filename)
    record = record_of(part.file, part.filename)
    photo = read_photo(timed(part), stem, max_pixels=limits.max_pixels, keep_alpha=True)
    mask, mask_record = None, None
    if masks:
        mask_record = record_of(masks[0].file, masks[0].filename)
        mask = Waiting(shelf, read_mask(timed(masks[0]), photo, max_pixels=limits.max_pixels))
    label = f"{stem}_{safe_stem(settings.label, 'style')}"
    waiting = Waiting(shelf, photo)
    work = _work(stylist, settings.with_seed(), (waiting, record), (mask, mask_record))
    return Job(label, work, note=left_out(timed(part), stem))


def timed(part: UploadFile) -> BinaryIO:
    """Return an uploaded file that can be read for a while only."""
    return cast("BinaryIO", Timed(part.file, safe_stem(part.filename)))


class Waiting:
    """A decoded picture that waits for its turn, out of memory."""

    def __init__(self, shelf: Shelf, picture: Image.Image) -> None:
        self._mode, self._size, self._info = picture.mode, picture.size, picture.info
        self._pixels = shelf.put(picture.tobytes())

    def picture(self) -> Image.Image:
        """Return the picture."""
        from PIL import Image

        picture = Image.frombytes(self._mode, self._size, self._pixels.read())
        picture.info = self._info
        return picture


def _work(
    stylist: Stylist,
    settings: Settings,
    photo: tuple[Waiting, FileRecord],
    mask: tuple[Waiting | None, FileRecord | None],
) -> Callable[[Callable[[float], None]], bytes]:
    def work(progress: Callable[[float], None]) -> bytes:
        progress(0.0)
        area = None if mask[0] is None else mask[0].picture()
        picture = stylist.stylize(photo[0].picture(), settings, area, progress)
        made = stylist.provenance(settings, photo[1], mask[1])
        return to_png(picture, None if made is None else made.to_json())

    return work


@contextmanager
def refusing_when_full(jobs: Jobs) -> Iterator[None]:
    """Turn the lack of room into a refusal.

    Raises:
        Problem: 503, with `Retry-After`.
    """
    try:
        yield
    except (QueueFullError, BusyError, StorageError) as error:
        code = "no_room" if isinstance(error, StorageError) else "queue_full"
        wait = str(jobs.retry_after())
        raise Problem(503, code, str(error), {"Retry-After": wait}) from error

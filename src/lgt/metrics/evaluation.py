"""One evaluation, from folders to a report."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from lgt import __version__
from lgt.codec import LatentCodec, load_codec
from lgt.errors import InputError
from lgt.files import atomic_write, refuse_unwritable
from lgt.image import left_out
from lgt.metrics.bench import Bench, Data, read_data
from lgt.metrics.controls import make_controls
from lgt.metrics.evaluate import Row, evaluate
from lgt.metrics.external import External, load_external
from lgt.metrics.extras import Extras
from lgt.metrics.features import Measurer, Pictures, default_cache
from lgt.metrics.folders import Problems
from lgt.metrics.page import SIDE, Shown, html_page
from lgt.metrics.report import Report
from lgt.metrics.results import Outputs, read_results, style_photos
from lgt.metrics.sheets import write_sheets
from lgt.metrics.subjects import Squares, Subjects
from lgt.metrics.view import View, read_view
from lgt.metrics.view import headings as in_words
from lgt.nn.backbone import load_backbone
from lgt.paint.transfer import LGTInference


@dataclass(frozen=True)
class Settings:
    """What `lgt evaluate` is told; see its help."""

    photos: Path
    styles: Path
    out: Path
    train_styles: Path | None = None
    only: Sequence[str] = ()
    limit: int | None = None
    max_works: int | None = 200
    size: int = 256
    view: int | None = None
    codec: str | None = None
    backbone: str = "efficientnet-lite0"
    extra_metrics: Sequence[str] = ()
    bootstrap: int = 100
    cache: Path | None = None
    seed: int = 0
    device: str = "auto"


def run(
    sources: Sequence[tuple[str, Path]], settings: Settings, log: Callable[[str], None] = print
) -> Report:
    """Evaluate checkpoints and folders of results, and the controls; write the report.

    Args:
        sources: Name and path of each.
        settings: Everything else.
        log: Told what is done.

    Raises:
        InputError: A folder is missing or empty, names do not match, or a package is missing.
    """
    check_sources(sources, settings.out)
    refuse_unwritable(settings.out)
    backbone = load_backbone(settings.backbone)
    externals = {name: load_external(name) for name in settings.extra_metrics}
    problems = Problems()
    log("reading pictures")
    data, subjects, view = read(settings, problems)
    for folder in (settings.photos, settings.styles, settings.train_styles):
        for path, reason in left_out(folder) if folder is not None else ():
            log(f"left out: {path}: {reason}")
    styles = list(settings.only or data[-1].unseen)
    made, codec = gather(sources, settings, subjects, styles, log)
    cache = settings.cache or default_cache()
    round_trips = subjects.round_trips(codec, cache)
    headings = [""] if view is None else in_words(view.subjects.view, settings.size)
    measurer = Measurer(backbone, cache)
    reports, shown = [], []
    for number, heading in enumerate(headings):
        log(f"{heading}: measuring photos and works" if heading else "measuring photos and works")
        bench = Bench(data[number], measurer, settings.only or None)
        pictures = {name: outputs.views[number] for name, outputs in made.items()}
        rows, all_pictures = judge(bench, round_trips[number], pictures, settings, externals, log)
        for row in rows:
            row.cost = made[row.name].cost if row.name in made else {}
        report = Report(rows, [], bench.data.notes, describe(settings, bench), heading)
        reports.append(report)
        shown.append(Shown(bench.data.photos, all_pictures, settings.size if number else SIDE))
    report = reports[0]
    report.problems = problems.files
    report.windows = reports[1] if view is not None else None
    write_report(report, settings.out, html_page(report, shown))
    if view is not None:
        works = {style: view.works[style] for style in styles}
        sheets = write_sheets(
            settings.out / "sheets", view.subjects, made, works, codec, settings.seed, cache
        )
        for path in sheets:
            log(f"{path}: pictures at full size")
    return report


def judge(
    bench: Bench,
    round_trips: Pictures,
    made: Mapping[str, dict[str, Pictures]],
    settings: Settings,
    externals: Mapping[str, External],
    log: Callable[[str], None],
) -> tuple[list[Row], dict[str, dict[str, Pictures]]]:
    """Judge the controls and every method in one view; return the rows, and all pictures."""
    extras = Extras(bench)
    entries = chain(
        (
            (*control, "control")
            for control in make_controls(bench.data, round_trips, settings.seed)
        ),
        ((*method, "result") for method in made.items()),
    )
    rows, all_pictures = [], {}
    for name, pictures, kind in entries:
        log(f"measuring {name}")
        all_pictures[name] = pictures
        row = evaluate(
            bench,
            name,
            pictures,
            kind=kind,
            replicates=settings.bootstrap,
            extras=extras,
            externals=externals,
        )
        rows.append(row)
    return rows, all_pictures


def read(settings: Settings, problems: Problems) -> tuple[list[Data], Subjects, View | None]:
    """Read photos and works: the data of each view, the photos, and both views' origin if any."""
    folders = settings.photos, settings.styles, settings.train_styles
    if settings.view is None:
        data = read_data(
            *folders,
            problems,
            size=settings.size,
            limit=settings.limit,
            max_works=settings.max_works,
        )
        return [data], Squares(data.photos, data.names), None
    view = read_view(
        *folders,
        problems,
        view=settings.view,
        size=settings.size,
        limit=settings.limit,
        max_works=settings.max_works,
        only=settings.only,
    )
    return [view.reduced, view.windows], view.subjects, view


def gather(
    sources: Sequence[tuple[str, Path]],
    settings: Settings,
    subjects: Subjects,
    styles: Sequence[str],
    log: Callable[[str], None],
) -> tuple[dict[str, Outputs], LatentCodec]:
    """Read or make the outputs of every source; return them, and the codec of the last model."""
    codec: LatentCodec | None = None
    made: dict[str, Outputs] = {}
    for name, path in sources:
        if path.is_dir():
            made[name] = read_results(path, subjects, styles)
            continue
        model = LGTInference(path, settings.device)
        codec = model.load_codec(settings.codec)
        log(f"{name}: styling {len(subjects.names)} photos")
        folder = settings.out / "pictures" / name.replace("/", "_")
        made[name] = style_photos(model, codec, subjects, styles, folder, settings.seed)
    return made, codec or load_codec(settings.codec or "auto")


def describe(settings: Settings, bench: Bench) -> dict[str, Any]:
    """Return what a reader needs to repeat or doubt the numbers."""
    data = bench.data
    return {
        "lgt": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "photos": len(data.names),
        "works": {
            style: {"unseen": len(data.unseen[style]), "seen": len(data.seen.get(style, ()))}
            for style in bench.styles
        },
        "unrelated": bench.unrelated,
        "settings": {key: _plain(value) for key, value in asdict(settings).items()},
    }


def check_sources(sources: Sequence[tuple[str, Path]], out: Path) -> None:
    """Refuse what can not be evaluated before long work starts.

    Raises:
        InputError: A path does not exist, two have one name, or `out` is a file.
    """
    seen = {"IDT", "RT", "TGT", "TRN", "MIX"}
    for name, path in sources:
        if not path.exists():
            raise InputError(
                f"no such checkpoint or folder of results: {path} (working directory: {Path.cwd()})"
            )
        if name in seen:
            raise InputError(f"two rows are named {name}; name this one: OTHER={path}")
        seen.add(name)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: is a file, not a folder: {out}")


def write_report(report: Report, folder: Path, page: str) -> None:
    """Write `report.json`, `report.md` and `report.html`."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"json": report.json(), "md": report.markdown(), "html": page}
    for suffix, text in texts.items():
        with atomic_write(folder / f"report.{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

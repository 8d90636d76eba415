"""Compare methods blind: which of two paintings of a photo would you hang?

    python scripts/blind_pairs.py make ours=RESULTS peer=RESULTS --photos PHOTOS --out blind
    python scripts/blind_pairs.py count choices.json --key blind/key.json

`make` writes `blind/pairs.html`, one file that needs no network: a photo and two results in the
same style, by click or keys, with the choices to download at the end; or, with `--png`, one
picture a pair and `blind/choices.txt` to fill in. Which method is which, and on which side, stands
in `blind/key.json` alone: keep it from those who look. `count` adds up what people chose.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from PIL import Image

from blind_page import blind_page
from lgt.errors import InputError, LGTError
from lgt.files import atomic_write
from lgt.image import contact_sheet, limit_side, open_image, save_image
from lgt.metrics.folders import pictures_in, style_folders

CHOICES = ("left", "right", "none")
"""What can be chosen; `none`: no difference."""
SET = "set"
"""Before the name of the set of pairs in a file of choices."""
Z = 1.959964
"""Standard normal quantile of a two-sided interval of 95 %."""


@dataclass(frozen=True)
class Pair:
    """Two results of one photo in one style."""

    style: str
    photo: str
    left: str
    """Name of a method."""
    right: str


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share.

    `(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)`; (0, 1) for no trial.

    References:
        Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if count == 0:
        return 0.0, 1.0
    share, room = successes / count, Z**2 / count
    half = Z * math.sqrt(share * (1 - share) / count + room / (4 * count))
    low, high = ((share + room / 2 + sign * half) / (1 + room) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def results_of(folder: Path, photos: Collection[str]) -> dict[str, dict[str, Path]]:
    """Return style -> name of a photo -> its result, whose name may end in `_STYLE`.

    Raises:
        InputError: There is no folder of a style, or two results have one name.
    """
    found: dict[str, dict[str, Path]] = {}
    for style, place in style_folders(folder, "results").items():
        found[style] = {}
        for path in pictures_in(place, "results"):
            name = path.stem if path.stem in photos else path.stem.removesuffix(f"_{style}")
            if name in found[style]:
                raise InputError(
                    f"{place}: two results of the photo {name}: {found[style][name].name} and "
                    f"{path.name}; remove one"
                )
            found[style][name] = path
    return found


def draw_pairs(
    results: Mapping[str, Mapping[str, Mapping[str, Path]]],
    photos: Sequence[str],
    *,
    seed: int,
    count: int | None = None,
    styles: Sequence[str] = (),
) -> list[Pair]:
    """Return pairs in a random order, each with its sides drawn.

    Args:
        results: Method -> style -> photo -> file.
        photos: Names of the photos.
        seed: Of order and sides.
        count: Most pairs; they are taken from the pairs of methods and the styles in turn, so that
            each has its share. None: all.
        styles: Those to show; empty: all.

    Raises:
        InputError: There is no pair, or a style that no two methods have.
    """
    draw = random.Random(seed)
    groups: list[list[Pair]] = []
    for first, second in combinations(results, 2):
        for style in sorted(set(results[first]) & set(results[second])):
            both = results[first][style].keys() & results[second][style].keys()
            pairs = []
            for photo in (name for name in photos if name in both):
                left, right = draw.sample((first, second), 2)
                pairs.append(Pair(style, photo, left, right))
            if pairs and (not styles or style in styles):
                groups.append(draw.sample(pairs, len(pairs)))
    absent = sorted(set(styles) - {pair.style for group in groups for pair in group})
    if absent or not groups:
        have = "; ".join(f"{name}: {', '.join(found)}" for name, found in results.items())
        raise InputError(
            f"no two methods have results of the same photo in {', '.join(absent) or 'any style'} "
            f"(found {have}); results lie in METHOD/STYLE/PHOTO.png, with the photos' names"
        )
    draw.shuffle(groups)
    depth = max(len(group) for group in groups)
    in_turn = [group[i] for i in range(depth) for group in groups if i < len(group)][:count]
    return draw.sample(in_turn, len(in_turn))


def identify(pairs: Sequence[Pair]) -> str:
    """Return the name of a set of pairs, by which choices find their key."""
    text = json.dumps([asdict(pair) for pair in pairs])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shown(photo: Image.Image, result: Image.Image, max_side: int) -> Image.Image:
    """Return a result at the size at which its photo is shown, so that sizes tell nothing."""
    size = limit_side(photo, max_side).size
    bare = Image.new("RGB", result.size)  # Without what the file says of itself.
    bare.paste(result)
    return bare if bare.size == size else bare.resize(size, Image.Resampling.LANCZOS)


def pictures_of(
    pairs: Sequence[Pair],
    results: Mapping[str, Mapping[str, Mapping[str, Path]]],
    photos: Mapping[str, Path],
    max_side: int,
) -> Iterator[tuple[Pair, list[Image.Image]]]:
    """Yield each pair with its photo, left and right picture, all of one size."""
    for pair in pairs:
        photo = open_image(photos[pair.photo])
        sides = [results[method][pair.style][pair.photo] for method in (pair.left, pair.right)]
        pictures = [photo, *(open_image(path) for path in sides)]
        for path, picture in zip(sides, pictures[1:], strict=True):
            if abs(math.log(picture.width * photo.height / picture.height / photo.width)) > 0.02:
                raise InputError(
                    f"{path}: is {picture.width} x {picture.height} pixels, of another shape than "
                    f"its photo ({photo.width} x {photo.height}); results must not be cut"
                )
        yield pair, [shown(photo, picture, max_side) for picture in pictures]


def make(args: argparse.Namespace) -> None:
    """Write the pairs and their key."""
    for option in ("count", "max_side"):
        if (value := getattr(args, option)) is not None and value < 1:
            raise InputError(f"--{option}: must be at least 1, got {value}")
    photos = {path.stem: path for path in pictures_in(args.photos, "--photos")}
    results = {}
    for name, path in map(named, args.results):
        if name in results:
            raise InputError(f"two methods are named {name}; name this one: OTHER={path}")
        results[name] = results_of(path, photos)
    if len(results) < 2:
        raise InputError(f"a comparison needs two folders of results or more, got {len(results)}")
    styles = [name.strip() for name in (args.styles or "").split(",") if name.strip()]
    pairs = draw_pairs(results, list(photos), seed=args.seed, count=args.count, styles=styles)
    name = identify(pairs)
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = pictures_of(pairs, results, photos, args.max_side)
    if args.png:
        digits = len(str(len(pairs)))
        for number, (pair, three) in enumerate(pictures, 1):
            sheet = contact_sheet([three], (), [f"photo ({pair.style})", "left", "right"])
            save_image(sheet, args.out / "pairs" / f"{number:0{digits}}.png")
        target = args.out / "choices.txt"
        lines = [f"# After each number write one of: {', '.join(CHOICES)}.", f"{SET} {name}"]
        write(target, "\n".join([*lines, *(f"{n} " for n in range(1, len(pairs) + 1))]) + "\n")
    else:
        target = args.out / "pairs.html"
        write(target, blind_page(name, [(pair.style, three) for pair, three in pictures]))
    key = {SET: name, "pairs": [asdict(pair) for pair in pairs]}
    write(args.out / "key.json", json.dumps(key, indent=1) + "\n")
    print(f"{len(pairs)} pairs: {target} ({target.stat().st_size / 1e6:.1f} MB)")


def named(text: str) -> tuple[str, Path]:
    """Split NAME=FOLDER; without a name it is the folder's own."""
    name, equals, path = text.partition("=")
    if equals and name and not Path(text).exists():
        return name, Path(path)
    return Path(text).resolve().name, Path(text)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    """Read a file; say what is wrong if that fails."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can not be read as text ({error})") from error


def read_key(path: Path) -> tuple[str, list[Pair]]:
    """Read the key that `make` wrote.

    Raises:
        InputError: It is none, or was changed.
    """
    try:
        key = json.loads(read_text(path))
        pairs = [Pair(**pair) for pair in key["pairs"]]
        is_whole = key[SET] == identify(pairs)
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not the key.json that `make` wrote ({error})") from error
    if not is_whole:
        raise InputError(f"{path}: was changed since `make` wrote it; run `make` again")
    return key[SET], pairs


def read_choices(path: Path, name: str, count: int) -> dict[int, str]:
    """Read one person's choices, from the page's JSON or from the text file.

    Args:
        path: The file.
        name: Of the set of pairs.
        count: Of pairs.

    Returns:
        Number of a pair, from 1 -> its choice; pairs without choice are left out.

    Raises:
        InputError: It is of another set, or holds what is no pair or no choice.
    """
    text = read_text(path)
    try:
        made_for, rows = _rows(json.loads(text)) if text.lstrip()[:1] == "{" else _lines(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the file that the page gave, or `{SET} NAME` and lines such as "
            f"`12 left` ({error})"
        ) from error
    if made_for != name:
        raise InputError(
            f"{path}: holds choices on the set {made_for or '?'}, but the key is that of {name}"
        )
    chosen: dict[int, str] = {}
    for number, choice in rows:
        if not number.isdecimal() or not 1 <= int(number) <= count:
            raise InputError(f"{path}: there is no pair {number}; they are 1 to {count}")
        if choice not in CHOICES:
            raise InputError(
                f"{path}: pair {number}: '{choice}' is no choice; take {', '.join(CHOICES)}"
            )
        if int(number) in chosen:
            raise InputError(f"{path}: pair {number} has two choices; keep one")
        chosen[int(number)] = choice
    return chosen


def _rows(values: Any) -> tuple[str, list[tuple[str, str]]]:
    return str(values.get(SET, "")), [(str(n), str(c)) for n, c in values["choices"].items()]


def _lines(text: str) -> tuple[str, list[tuple[str, str]]]:
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    name = next((line[1] for line in lines if line[0] == SET and len(line) == 2), "")
    rest = [line for line in lines if line[0] != SET and len(line) > 1]
    return name, [(number, " ".join(choice).lower()) for number, *choice in rest]


Counts = dict[tuple[str, str, str], Counter[str]]
"""First method, second method, style (or `all`) -> how often each, or `none`, was preferred."""


def add_up(pairs: Sequence[Pair], choices: Sequence[Mapping[int, str]]) -> Counts:
    """Count what was preferred, by pair of methods and style."""
    counts: Counts = {}
    for chosen in choices:
        for number, choice in chosen.items():
            pair = pairs[number - 1]
            first, second = sorted((pair.left, pair.right))
            winner = {"left": pair.left, "right": pair.right, "none": "none"}[choice]
            for style in ("all", pair.style):
                counts.setdefault((first, second, style), Counter())[winner] += 1
    return {key: counts[key] for key in sorted(counts, key=lambda k: (k[:2], k[2] != "all", k[2]))}


def table(counts: Counts) -> str:
    """Return the counts as a Markdown table; shares are of all pairs, and of those that differ."""
    lines = [
        "| A | B | style | pairs | A preferred | no difference | B preferred | A of all | "
        "A where they differ |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (first, second, style), won in counts.items():
        a, none, b = won[first], won["none"], won[second]
        shares = " | ".join(_share(a, total) for total in (a + none + b, a + b))
        lines.append(
            f"| {first} | {second} | {style} | {won.total()} | {a} | {none} | {b} | {shares} |"
        )
    return "\n".join(lines)


def _share(successes: int, count: int) -> str:
    if not count:
        return ""
    low, high = wilson(successes, count)
    return f"{successes / count:.0%} ({low:.0%} to {high:.0%})"


def count(args: argparse.Namespace) -> None:
    """Print what was preferred."""
    name, pairs = read_key(args.key)
    choices = [read_choices(path, name, len(pairs)) for path in args.choices]
    given = sum(map(len, choices))
    if not given:
        raise InputError("no choice was made yet: no pair in these files has an answer")
    print(table(add_up(pairs, choices)))
    print(f"\n{given} choices of {len(choices) * len(pairs)}; intervals of 95 % (Wilson)")


def main(words: Sequence[str] | None = None) -> None:
    """Make the pairs, or count the choices."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("make", help="write pairs and their key")
    one.add_argument("results", nargs="+", metavar="NAME=RESULTS", help="RESULTS/STYLE/PHOTO.png")
    one.add_argument("--photos", type=Path, required=True, help="folder of the photos")
    one.add_argument("--out", type=Path, required=True, help="folder for pairs and key")
    one.add_argument("--seed", type=int, default=0, help="of order and sides [0]")
    one.add_argument("--count", type=int, help="most pairs [all]")
    one.add_argument("--styles", help="separated by commas [all]")
    one.add_argument("--max_side", type=int, default=1024, help="longest side, pixels [1024]")
    one.add_argument("--png", action="store_true", help="pictures and a text file, not a page")
    one.set_defaults(run=make)
    two = commands.add_parser("count", help="count choices")
    two.add_argument("choices", nargs="+", type=Path, help="files that the page gave, or .txt")
    two.add_argument("--key", type=Path, required=True, help="key.json of these pairs")
    two.set_defaults(run=count)
    args = parser.parse_args(words)
    try:
        args.run(args)
    except LGTError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

"""Show what LGT does, on pictures that may be shown: `make demo` runs this, in two minutes.

1. Paint a photograph in every style of the model inside the package.
2. Teach the model one more style from a folder of works, in 21 seconds.
3. Train a small network of one's own on the same folder with the documented scripts, for some
   seconds: the way to go, not the quality that hours give.

The photographs come with scikit-image, the works are in the public domain (`works/SOURCES.md`), so
nothing is fetched and anybody may show the result. Everything is written to `demo-output/`; last
of all `sheet.jpg`, with all of it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lgt.image import open_image, picture_sheet, save_image

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path(__file__).with_name("demo.json")
PHOTOS = ("rocket.jpg", "motorcycle_left.png", "chelsea.png", "coffee.png")
"""Inside scikit-image's wheel: no download."""
SHOWN = "astronaut.png"
"""The one that is painted; none of the crops is of it."""
NEW = "arles"
"""The style that is added."""
WORKS = Path(__file__).with_name("works") / NEW
SIDE = 128
"""Side of the crops that the small network learns from, in pixels."""
MINUTES = 0.35
"""Of learning the new style."""
BASE = "vangogh"
"""Style that it starts from: to look for the nearest one takes as long again."""
FRESH = ("images", "latents", "checkpoints", "pictures", f"{NEW}.safetensors", "photo.jpg")


def photo(name: str) -> Image.Image:
    with files("skimage.data").joinpath(name).open("rb") as stream:
        return open_image(BytesIO(stream.read()))


def cut_photos(folder: Path) -> int:
    """Cut crops out of each photograph at three scales; return their number."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    count = 0
    for name in PHOTOS:
        for side in (256, 320, 384):
            picture = photo(name)
            width, height = (round(n * side / min(picture.size)) for n in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            for _ in range(3):
                left, top = (int(rng.integers(0, n - 256 + 1)) for n in picture.size)
                crop = picture.crop((left, top, left + 256, top + 256))
                crop.save(folder / f"{Path(name).stem}{count:02d}.png")
                count += 1
    return count


def run(*arguments: str | Path, cwd: Path) -> None:
    """Run a command, shown as it would be typed."""
    words = [str(word) for word in arguments]
    sys.stdout.write(f"\n$ {shlex.join(words)}\n")
    sys.stdout.flush()
    start = time.monotonic()
    program = [sys.executable, *(("-m", "lgt") if words[0] == "lgt" else ())]
    result = subprocess.run([*program, *words[1:]], cwd=cwd, check=False)
    if result.returncode:
        raise SystemExit(f"demo: `{shlex.join(words)}` ended with exit code {result.returncode}")
    sys.stdout.write(f"({time.monotonic() - start:.0f} s)\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of learning the new style")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="passed to training"
    )
    options = parser.parse_args()
    output: Path = options.output.resolve()
    start = time.monotonic()
    for name in FRESH:
        shutil.rmtree(output / name, ignore_errors=True)
        (output / name).unlink(missing_ok=True)
    crops = cut_photos(output / "images" / "photo")
    works = output / "images" / NEW
    shutil.copytree(WORKS, works)
    save_image(photo(SHOWN), output / "photo.jpg")
    count = len(list(works.iterdir()))
    sys.stdout.write(f"{crops} crops of photographs and {count} works in {works.parent}\n")

    embedded = ("--model", "embedded")
    run("lgt", "transfer", "photo.jpg", "pictures/", "--style", "all", *embedded, cwd=output)

    style = f"{NEW}.safetensors"
    learning = ("--photos", "images/photo", "--base", BASE, "--minutes", str(options.minutes))
    run("lgt", "add-style", NEW, f"images/{NEW}", *learning, "--out", style, *embedded, cwd=output)
    added = f"pictures/photo_{NEW}.png"
    run("lgt", "transfer", "photo.jpg", added, "--style", style, *embedded, cwd=output)

    train_small(output, [word for item in options.set for word in ("--set", item)])
    sheet = output / "sheet.jpg"
    save_image(draw_sheet(output, options.minutes), sheet, quality=90)
    sys.stdout.write(
        f"\nDone in {time.monotonic() - start:.0f} s. The pictures are in {output / 'pictures'}, "
        f"all of them on one sheet:\n  {sheet}\n"
    )


def train_small(output: Path, overrides: list[str]) -> None:
    """Train a network of one's own by the three documented scripts, and paint with it."""
    scripts = Path(os.path.relpath(ROOT, output))
    run(
        *("python", scripts / "preprocess_latents.py", "--raw_data_root", "images"),
        *("--output_root", "latents", "--target_size", str(SIDE), "--codec", "embedded"),
        cwd=output,
    )
    config = os.path.relpath(CONFIG, output)
    run("python", scripts / "train.py", "--config", config, *overrides, cwd=output)
    run(
        *("python", scripts / "inference.py", "checkpoints/latest.pt", "photo.jpg"),
        *("pictures/photo_own.png", "--target_style_id", "1"),
        cwd=output,
    )


def draw_sheet(output: Path, minutes: float) -> Image.Image:
    """Lay the photograph, its paintings and one of the works out on a sheet."""
    pictures = output / "pictures"
    last = {"photo_sheet", f"photo_{NEW}", "photo_own"}
    painted = [p for p in sorted(pictures.glob("photo_*.png")) if p.stem not in last]
    cells = [(output / "photo.jpg", "the photograph")]
    cells += [(path, path.stem.removeprefix("photo_")) for path in painted]
    cells += [
        (sorted((output / "images" / NEW).iterdir())[0], f"one of the works of '{NEW}'"),
        (pictures / f"photo_{NEW}.png", f"{NEW}, learned for {60 * minutes:g} seconds"),
        (pictures / "photo_own.png", f"{NEW}, by a small network, trained for seconds"),
    ]
    return picture_sheet(
        [open_image(path) for path, _ in cells], [label for _, label in cells], columns=4
    )


if __name__ == "__main__":
    main()

"""Run the whole path on example images: preprocess, train, transfer. `make demo` calls this.

Photographs that come with scikit-image are cut into crops; two styles are drawn by
`draw_styles.py`; then the documented commands run as a user would type them. The photographs that
are stylised at the end are not among the training crops. Everything is written to `demo-output/`.
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

from draw_styles import draw_styles
from lgt.image import contact_sheet, open_image, save_image

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path(__file__).with_name("demo.json")
TRAINING_PHOTOS = ("astronaut.png", "rocket.jpg", "motorcycle_left.png", "camera.png", "ihc.png")
"""Inside scikit-image's wheel: no download."""
TEST_PHOTOS = ("chelsea.png", "coffee.png")
STYLES = ("painted", "stippled")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Unless set otherwise: the network is so small that threads on a busy machine mostly wait."""
SIDE = 128
"""Side of the training crops, in pixels."""
WIDTH = 451
"""Width of the photographs that are stylised, in pixels."""


def photo(name: str) -> Image.Image:
    with files("skimage.data").joinpath(name).open("rb") as stream:
        return open_image(BytesIO(stream.read()))


def cut_photos(folder: Path) -> int:
    """Cut crops out of each photograph at three scales; return their number."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    count = 0
    for name in TRAINING_PHOTOS:
        for side in (160, 240, 320):
            picture = photo(name)
            width, height = (round(n * side / min(picture.size)) for n in picture.size)
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            for _ in range(4):
                left, top = (int(rng.integers(0, n - SIDE + 1)) for n in picture.size)
                crop = picture.crop((left, top, left + SIDE, top + SIDE))
                crop.save(folder / f"{Path(name).stem}{count:02d}.png")
                count += 1
    return count


def run(*arguments: str | Path, cwd: Path) -> None:
    """Run one `lgt` command, shown as it would be typed."""
    words = [str(word) for word in arguments]
    sys.stdout.write(f"\n$ lgt {shlex.join(words)}\n")
    sys.stdout.flush()
    start = time.monotonic()
    command = [sys.executable, "-m", "lgt", *words]
    result = subprocess.run(command, cwd=cwd, env=ONE_THREAD | os.environ, check=False)
    if result.returncode:
        raise SystemExit(f"demo: `lgt {words[0]}` ended with exit code {result.returncode}")
    sys.stdout.write(f"({time.monotonic() - start:.0f} s)\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="passed to training"
    )
    options = parser.parse_args()
    output: Path = options.output.resolve()
    start = time.monotonic()
    for name in ("images", "latents", "checkpoints", "inputs", "results"):
        shutil.rmtree(output / name, ignore_errors=True)
    crops = cut_photos(output / "images" / "photo")
    drawn = draw_styles(output / "images", side=SIDE)
    sys.stdout.write(f"{crops} crops of photographs and {drawn} of drawings in {output}\n")

    run(
        "preprocess",
        *("--raw_data_root", "images", "--output_root", "latents"),
        *("--target_size", str(SIDE), "--codec", "dct:48"),
        cwd=output,
    )
    overrides = [word for item in options.set for word in ("--set", item)]
    run("train", "--config", CONFIG, *overrides, cwd=output)
    (output / "inputs").mkdir()
    for name in TEST_PHOTOS:
        picture = photo(name)
        picture.thumbnail((WIDTH, WIDTH))
        save_image(picture, output / "inputs" / f"{Path(name).stem}.png")
    rows = transfer(output)
    sheet = output / "results" / "contact-sheet.png"
    titles = ["photograph", *STYLES]
    save_image(contact_sheet(rows, [Path(name).stem for name in TEST_PHOTOS], titles), sheet)
    report(output / "results", time.monotonic() - start)


def transfer(output: Path) -> list[list[Image.Image]]:
    """Stylise the test photographs; return source and results row by row."""
    rows = []
    for name in TEST_PHOTOS:
        source = Path("inputs") / f"{Path(name).stem}.png"
        row = [open_image(output / source)]
        for style in STYLES:
            result = Path("results") / f"{source.stem}-{style}.png"
            (output / "results").mkdir(exist_ok=True)
            model = Path("checkpoints") / "latest.pt"
            run("transfer", source, result, "--style", style, "--model", model, cwd=output)
            row.append(open_image(output / result))
        rows.append(row)
    return rows


def report(results: Path, seconds: float) -> None:
    """Name the pictures that were written."""
    sys.stdout.write(f"\nDone in {seconds:.0f} s. Pictures:\n")
    for path in sorted(results.iterdir()):
        sys.stdout.write(f"  {path}\n")


if __name__ == "__main__":
    main()

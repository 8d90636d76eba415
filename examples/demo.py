"""Run the whole path on example images: preprocess, train, transfer. `make demo` calls this.

Photographs that come with scikit-image are cut into crops; two styles are drawn by
`draw_styles.py`; then the documented commands run as a user would type them. The photographs that
are stylised at the end are not among the training crops. Everything is written to `demo-output/`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

from draw_styles import draw_styles
from PIL import Image

from lgt.image import contact_sheet, open_image, resize_and_crop, save_image

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path(__file__).with_name("demo.json")
TRAINING_PHOTOS = ("astronaut.png", "rocket.jpg", "motorcycle_left.png", "camera.png", "ihc.png")
"""Inside scikit-image's wheel: no download."""
TEST_PHOTOS = ("chelsea.png", "coffee.png")
STYLES = ("painted", "hatched")
SIDE = 256
"""Side of every picture, in pixels."""


def photo(name: str) -> Image.Image:
    with files("skimage.data").joinpath(name).open("rb") as stream:
        return open_image(stream)


def cut_photos(folder: Path) -> int:
    """Cut each photograph into five crops: the whole, and four corners at twice the scale."""
    folder.mkdir(parents=True)
    places = [(0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)]
    for name in TRAINING_PHOTOS:
        picture = photo(name)
        for index, place in enumerate(places):
            side = SIDE if index == 0 else 2 * SIDE
            crop = resize_and_crop(picture, side, position=place)
            if index:
                left, top = (round((side - SIDE) * p) for p in place)
                crop = crop.crop((left, top, left + SIDE, top + SIDE))
            crop.save(folder / f"{Path(name).stem}{index}.png")
    return len(TRAINING_PHOTOS) * len(places)


def run(*arguments: str | Path, cwd: Path) -> None:
    """Run one `lgt` command, shown as it would be typed."""
    words = [str(word) for word in arguments]
    sys.stdout.write(f"\n$ lgt {shlex.join(words)}\n")
    sys.stdout.flush()
    result = subprocess.run([sys.executable, "-m", "lgt", *words], cwd=cwd, check=False)
    if result.returncode:
        raise SystemExit(f"demo: `lgt {words[0]}` ended with exit code {result.returncode}")


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
    drawn = draw_styles(output / "images", size=SIDE)
    sys.stdout.write(f"{crops} crops of photographs and {len(drawn)} drawn pictures in {output}\n")

    run(
        "preprocess",
        *("--raw_data_root", "images", "--output_root", "latents"),
        *("--target_size", str(SIDE), "--codec", "dct:48", "--hflip"),
        cwd=output,
    )
    overrides = [word for item in options.set for word in ("--set", item)]
    run("train", "--config", CONFIG, *overrides, cwd=output)
    (output / "inputs").mkdir()
    for name in TEST_PHOTOS:
        save_image(photo(name), output / "inputs" / f"{Path(name).stem}.png")
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

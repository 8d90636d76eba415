"""Train the demo and photograph its report: `docs/pictures/report.jpg`, for docs/training.md.

Needs the extra `demo`, Playwright and a Chromium; takes some minutes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

from demo import PHOTOS, WORKS, cut_photos, photo  # noqa: E402

SETTINGS = (
    "checkpoint.preview_dir=photos",
    "checkpoint.num_samples=2",
    "checkpoint.save_every=3",
    "training.num_epochs=18",
    "training.steps_per_epoch=10",
)
SIZE = (1000, 1180)
"""Of the photograph, in pixels."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut_photos(folder / "images" / "photo")
        shutil.copytree(WORKS, folder / "images" / WORKS.name)
        (folder / "photos").mkdir()
        for picture in PHOTOS[-2:]:
            photo(picture).save(folder / "photos" / f"{Path(picture).stem}.png")
        shutil.copy(ROOT / "examples" / "demo.json", folder / "config.json")
        lgt = [sys.executable, "-m", "lgt"]
        latents = ["--raw_data_root", "images", "--output_root", "latents", "--target_size", "128"]
        changes = [word for item in SETTINGS for word in ("--set", item)]
        for command in (["preprocess", *latents, "--codec", "embedded"], ["train", *changes]):
            subprocess.run([*lgt, *command], cwd=folder, check=True)
        shot = photograph(folder / "checkpoints" / "report.html")
    shot.convert("RGB").save(ROOT / "docs" / "pictures" / "report.jpg", quality=80)


def photograph(report: Path) -> Image.Image:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(report.as_uri())
        return Image.open(BytesIO(page.screenshot()))


if __name__ == "__main__":
    main()

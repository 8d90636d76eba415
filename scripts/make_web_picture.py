"""Photograph the page of `lgt serve`: `docs/pictures/web.jpg`, for docs/web.md.

Three photographs are painted by the model inside the package. Needs the extras `web` and `demo`,
Playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

from lgt.web.api import create_app
from lgt.web.limits import Limits
from lgt.web.server import address, listen, make_server
from lgt.web.stylist import ModelStylist

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "web.jpg"
PHOTOS = ("coffee", "astronaut", "chelsea")
STYLE = "vangogh"
SIZE = (1400, 1000)
"""Of the window, in pixels."""
WIDTH = 960
"""Of the picture."""


def main() -> None:
    app = create_app(ModelStylist("embedded"), limits=Limits(), queue=len(PHOTOS))
    listener = listen("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        shot = photograph(address(listener))
    finally:
        server.should_exit = True
        thread.join(8)
        listener.close()
    small = shot.convert("RGB").resize((WIDTH, round(WIDTH * SIZE[1] / SIZE[0])))
    small.save(PICTURE, quality=80)


def photograph(home: str) -> Image.Image:
    """Paint the photos on the page at an address, and return what it looks like then."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        files = [Path(name) / f"{photo}.jpg" for photo in PHOTOS]
        for photo, file in zip(PHOTOS, files, strict=True):
            Image.fromarray(getattr(data, photo)()).save(file, quality=95)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(300_000)
        page.goto(home)
        page.check(f"#styles input[value={STYLE}]", force=True)
        page.set_input_files("#file", files)
        page.click("#all")
        page.wait_for_selector("#zip", state="visible")
        page.evaluate("scrollTo(0, 0)")
        return Image.open(BytesIO(page.screenshot()))


if __name__ == "__main__":
    main()

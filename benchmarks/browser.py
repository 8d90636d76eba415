"""Paint in a real browser with the folder of `lgt export --web`, and compare with Python.

    python benchmarks/browser.py [--runtime onnxruntime-web-1.22.0.tgz] [--on webgpu]

prints a JSON line: seconds until the page can paint, those that it tells of the first painting (of
a photo that comes at once, or `--pause` seconds later), the median of those that follow, and the
mean and the largest difference from Python's painting (of 255). Needs Chromium; WebGPU is computed
in software, which is right but slow.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import lgt
from lgt.processor import processor_name
from lgt.runtime import Runtime
from lgt.site.library import library
from lgt.site.write import write_site

PICTURE = Path(lgt.__file__).parent / "assets" / "model" / "source.jpg"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage")
IN_SOFTWARE = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
)
LIMIT = 600_000
"""Milliseconds that anything in the page may take."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runtime", type=Path, help="archive or folder of onnxruntime-web")
    parser.add_argument("--photo", type=Path, default=PICTURE, help="[that of the package]")
    parser.add_argument("--size", default="683x512", help="cut the photo to WxH [683x512]")
    parser.add_argument("--style", help="[the first]")
    parser.add_argument("--on", choices=("wasm", "webgpu"), default="wasm", help="[wasm]")
    parser.add_argument("--pause", type=float, default=0, help="seconds before the photo [0]")
    parser.add_argument("--repeats", type=int, default=3, help="paintings after the first [3]")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.exit(2, f"error: no browser found ({', '.join(BROWSERS)})\n")
    painter = Runtime(backend="onnx", precision="fp32")
    style = args.style or painter.painted_styles[0]
    with tempfile.TemporaryDirectory() as folder:
        write_site(painter, Path(folder) / "site", library(args.runtime))
        photo = Path(folder) / "photo.png"
        width, height = map(int, args.size.split("x"))
        picture = ImageOps.fit(Image.open(args.photo).convert("RGB"), (width, height))
        picture.save(photo)
        with _served(Path(folder) / "site") as server:
            address = f"http://127.0.0.1:{server.server_port}/?on={args.on}"
            found, painting = _visit(browser, address, photo, style, args)
    wanted = np.asarray(painter.stylize(picture, style), dtype=float)
    difference = np.abs(painting - wanted)
    agreement = {"mean_difference": difference.mean(), "largest_difference": difference.max()}
    found |= {name: round(float(value), 3) for name, value in agreement.items()}
    print(json.dumps({"size": args.size, "style": style, **found, "cpu": processor_name()}))


def _served(folder: Path) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Quiet(SimpleHTTPRequestHandler):
    """Sends what `python -m http.server` does, and no log."""

    def log_message(self, *_: Any) -> None:
        pass


def _visit(
    browser: str, address: str, photo: Path, style: str, args: argparse.Namespace
) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Return what a visitor waits for, and the painting."""
    from playwright.sync_api import sync_playwright

    options = [*OPTIONS, *(IN_SOFTWARE if args.on == "webgpu" else ["--disable-gpu"])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=options)
        page = chromium.new_page()
        page.set_default_timeout(LIMIT)
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("html[data-on]")
        loaded = time.perf_counter() - began
        time.sleep(args.pause)
        page.set_input_files("#file", photo)
        page.check(f"input[name=style][value='{style}']", force=True)
        seconds, said = [], ""
        for _ in range(1 + args.repeats):
            page.click("#run")
            page.wait_for_selector("#cancel", state="visible")
            page.wait_for_selector("#run", state="visible")
            said = page.inner_text("#status")
            seconds.append(float(re.findall(r"([\d.]+) s", said)[0]))
        with page.expect_download() as download:
            page.click("#download")
        with Image.open(download.value.path()) as picture:
            painting = np.asarray(picture.convert("RGB"), dtype=float)
        where = said.partition(" s ")[2].strip(".")
        chromium.close()
    first, *others = seconds
    values = {"where": where, "loaded_seconds": round(loaded, 1), "first_seconds": first}
    return values | {"next_seconds": statistics.median(others or [first])}, painting


if __name__ == "__main__":
    main()

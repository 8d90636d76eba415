"""A real browser, and what a visitor of the page does: give a photo, move a slider, paint."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from limits import HANG

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
NO_BROWSER = f"no browser found ({', '.join(BROWSERS)})"
OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage")
WITHOUT_CARD = "--disable-gpu"
CARD_IN_SOFTWARE = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
)
"""What gives Chromium a WebGPU that needs no graphics card."""


def give(page: Any, path: Path) -> None:
    page.set_input_files("#file", path)
    wait_until(lambda: page.evaluate("document.getElementById('before').naturalWidth > 0"))


def paint(page: Any) -> None:
    shown = page.get_attribute("#after", "src")
    page.click("#run")
    wait_until(lambda: page.get_attribute("#after", "src") != shown)
    page.wait_for_selector("#download", state="visible")
    page.wait_for_selector("#run", state="visible")
    wait_until(lambda: page.evaluate("document.getElementById('after').naturalWidth > 0"))


def slide(page: Any, selector: str, value: float) -> None:
    page.locator(selector).fill(str(value))


def wait_until(condition: Any) -> None:
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

"""The folder of `lgt export --web` in a real browser, on WebAssembly, from a plain file server."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from limits import HANG
from pages import BROWSER, CARD_IN_SOFTWARE, OPTIONS, give, paint, slide, wait_until
from PIL import Image
from scenes import smooth_picture

pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from lgt.image import open_image
from lgt.runtime import Runtime
from lgt.site.library import VERSION, library
from lgt.site.write import write_site

SUB_PATH = "some/where"
MEAN = 0.5
"""Largest mean difference from Python, of 255."""


@pytest.fixture(scope="module")
def lgt() -> Runtime:
    return Runtime(backend="onnx", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def folder(lgt: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose sub-path holds the page."""
    place = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which fetches onnxruntime-web")
    command = [npm, "pack", f"onnxruntime-web@{VERSION}"]
    packed = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=HANG)
    if packed.returncode:
        pytest.skip(f"npm pack onnxruntime-web@{VERSION} failed: {packed.stderr[-200:]}")
    root = tmp_path_factory.mktemp("host")
    sizes = write_site(lgt, root / SUB_PATH, library(next(place.glob("*.tgz"))))
    assert sum(sizes.values()) < 25e6
    return root


class Quiet(SimpleHTTPRequestHandler):
    """Sends what `python -m http.server` does, and no log."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(browser: Any, folder: Path) -> Iterator[Any]:
    """Return the page, loaded once, with threads."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # A page that went away.
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(1000 * HANG)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: m.type == "error" and problems.append(m.text))
    foreign = ("blob:", "data:", host)
    page.on("request", lambda r: r.url.startswith(foreign) or problems.append(r.url))
    page.server = server
    page.goto(f"{host}/{SUB_PATH}/")
    page.wait_for_selector("html[data-kept]")  # Loaded, and all is kept.
    yield page
    context.close()
    server.shutdown()
    server.server_close()
    assert problems == []


def begin(page: Any, path: Path) -> None:
    """Give a photo to a page that has no other, with the default settings."""
    page.evaluate("document.getElementById('more').open = true")
    while page.is_visible("#remove"):
        page.click("#remove")
    if page.is_enabled("#reset"):
        page.click("#reset")
    give(page, path)


def painting(page: Any) -> np.ndarray:
    """Return what the download holds, always with an alpha: browsers write no other PNG."""
    paint(page)
    with page.expect_download() as download:
        page.click("#download")
    with Image.open(download.value.path()) as picture:
        return np.asarray(picture, dtype=float)


def choose(page: Any, style: str, name: str = "style") -> None:
    page.check(f"input[name={name}][value='{style}']", force=True)


def alike(found: np.ndarray, expected: Image.Image, photo: Image.Image) -> None:
    """Compare with Python's painting, which is not the photo either."""
    assert found.shape == (*expected.size[::-1], 4)
    wanted, plain = (np.asarray(each.convert("RGBA"), dtype=float) for each in (expected, photo))
    assert np.abs(found - wanted)[..., :3].mean() < MEAN
    assert np.abs(found - wanted)[..., 3].max() <= 1
    assert np.abs(wanted - plain)[..., :3].mean() > 4 * MEAN


def test_three_photos_are_painted_as_by_python(site: Any, lgt: Runtime, tmp_path: Path) -> None:
    """Odd sides; an upright JPEG that lies; one with transparency; strength, blend, colours."""
    assert site.evaluate("crossOriginIsolated") is True
    site.click("#more summary")
    assert site.is_visible("#color") and not site.is_visible("#refine"), "it needs gradients"
    first, second, third = lgt.painted_styles[:3]
    smooth_picture(91, 70).save(tmp_path / "a.png")
    begin(site, tmp_path / "a.png")
    choose(site, first)
    photo = open_image(tmp_path / "a.png")
    alike(painting(site), lgt.stylize(photo, first), photo)

    lying = smooth_picture(120, 90, seed=1)
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "b.jpg", quality=95, exif=exif)
    begin(site, tmp_path / "b.jpg")
    photo = open_image(tmp_path / "b.jpg")
    assert photo.size == (90, 120)
    choose(site, second)
    slide(site, "#strength", 0.6)
    site.check("#keep")
    expected = lgt.stylize(photo, second, strength=0.6, preserve_color=True)
    alike(painting(site), expected, photo)

    clear = smooth_picture(80, 64, seed=2)
    clear.putalpha(Image.linear_gradient("L").resize(clear.size).point(lambda v: max(v, 64)))
    clear.save(tmp_path / "c.png")
    begin(site, tmp_path / "c.png")
    choose(site, third)
    site.check("#blend")
    choose(site, first, "style2")
    slide(site, "#share", 25)
    slide(site, "#scale", 1)
    found = painting(site)
    expected = lgt.stylize(clear, {third: 0.75, first: 0.25}, style_scale=2.0)
    alike(found, expected, clear)


@pytest.mark.skipif(
    "LGT_SLOW_TESTS" not in os.environ,
    reason="WebGPU in software takes a minute of processor time; set LGT_SLOW_TESTS=1",
)
def test_graphics_cards_paint_the_same(
    browser: Any, site: Any, lgt: Runtime, tmp_path: Path
) -> None:
    """By WebGPU, computed in software here."""
    with_card = browser.browser_type.launch(
        executable_path=BROWSER, args=[*OPTIONS, *CARD_IN_SOFTWARE]
    )
    try:
        page = with_card.new_page()
        page.set_default_timeout(1000 * HANG)
        page.goto(f"{site.url}?on=webgpu")
        page.wait_for_selector("html[data-on]")
        if page.get_attribute("html", "data-on") != "webgpu":
            pytest.skip("this browser has no WebGPU in software")
        smooth_picture(64, 48, seed=4).save(tmp_path / "a.png")
        begin(page, tmp_path / "a.png")
        style = lgt.painted_styles[1]
        choose(page, style)
        photo = open_image(tmp_path / "a.png")
        alike(painting(page), lgt.stylize(photo, style), photo)
        assert "on the graphics card" in page.inner_text("#status")
    finally:
        with_card.close()


def test_a_photo_of_12_megapixels_keeps_its_size(site: Any, lgt: Runtime, tmp_path: Path) -> None:
    """It is painted small and enlarged, as Python does."""
    large = smooth_picture(400, 300, seed=3).resize((4000, 3000), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=90)
    begin(site, tmp_path / "large.jpg")
    style = lgt.painted_styles[0]
    choose(site, style)
    site.select_option("#canvas", "256")
    photo = open_image(tmp_path / "large.jpg")
    alike(painting(site), lgt.stylize(photo, style, canvas=256), photo)


def test_cancel_ends_the_work_at_once(site: Any, tmp_path: Path) -> None:
    """The worker ends amid a computation; the next test paints with the one that follows."""
    smooth_picture(400, 300).save(tmp_path / "a.png")
    begin(site, tmp_path / "a.png")
    site.click("#run")
    wait_until(lambda: site.evaluate("document.getElementById('progress').value") > 0)
    site.click("#cancel")
    site.wait_for_selector("#run", state="visible")
    assert site.inner_text("#status") == "Cancelled."


def test_the_page_works_when_the_host_is_gone(site: Any, lgt: Runtime, tmp_path: Path) -> None:
    site.server.shutdown()
    site.server.server_close()
    site.reload()
    site.wait_for_selector("html[data-on=wasm]")
    assert site.evaluate("crossOriginIsolated") is True
    site.click("#sample")
    wait_until(lambda: site.evaluate("document.getElementById('before').naturalWidth > 0"))
    smooth_picture(64, 48).save(tmp_path / "a.png")
    begin(site, tmp_path / "a.png")
    style = lgt.painted_styles[-1]
    choose(site, style)
    photo = open_image(tmp_path / "a.png")
    alike(painting(site), lgt.stylize(photo, style), photo)
    site.set_viewport_size({"width": 390, "height": 844})
    assert site.evaluate("document.documentElement.scrollWidth") <= 390

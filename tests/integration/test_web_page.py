"""The page in a real browser: upload, every control, cancel, errors, phone width, keys alone."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stylists import FakeStylist

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="needs httpx")
pytest.importorskip("playwright.sync_api", reason="needs playwright")

import httpx
from playwright import sync_api

from lgt.web.api import create_app
from lgt.web.limits import Limits
from lgt.web.server import address, listen, make_server

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no browser found (chromium, chromium-browser or google-chrome)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()


@pytest.fixture
def stylist() -> FakeStylist:
    return FakeStylist()


@pytest.fixture
def page(browser: Any, stylist: FakeStylist) -> Iterator[Any]:
    app = create_app(stylist, limits=Limits(max_pixels=40_000), queue=1)
    listener = listen("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(8000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.server = server
    page.goto(address(listener))
    page.wait_for_selector("#styles input", state="attached")
    yield page
    page.close()
    stylist.gate.set()
    server.should_exit = True
    thread.join(8)
    listener.close()
    assert problems == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (120, 80), "red").save(path)
    return path


def give(page: Any, path: Path) -> None:
    page.set_input_files("#file", path)
    wait_until(lambda: page.evaluate("document.getElementById('before').naturalWidth > 0"))


def paint(page: Any) -> None:
    page.click("#run")
    page.wait_for_selector("#download", state="visible")
    page.wait_for_selector("#run", state="visible")
    wait_until(lambda: page.evaluate("document.getElementById('after').naturalWidth > 0"))


def slide(page: Any, selector: str, value: float) -> None:
    page.locator(selector).fill(str(value))


def wait_until(condition: Any) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_every_control_changes_the_request(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    paint(page)
    image, plain, mask = stylist.calls[-1]
    assert image.size == (120, 80) and mask is None
    assert (plain.style, plain.blend, plain.strength, plain.seed) == ("monet", None, 1, 0)
    assert plain.style_scale == 1 and not plain.preserve_color
    page.check("input[name=style][value=durer]", force=True)
    slide(page, "#strength", 0.4)
    slide(page, "#scale", 1)
    slide(page, "#seed", 5)
    page.check("#keep")
    paint(page)
    wait_until(lambda: len(stylist.calls) == 2)
    changed = stylist.calls[-1][1]
    assert (changed.style, changed.strength, changed.style_scale) == ("durer", 0.4, 2)
    assert changed.seed == 5 and changed.preserve_color
    page.check("#blend")
    page.check("input[name=style2][value=ukiyoe]", force=True)
    slide(page, "#share", 25)
    paint(page)
    wait_until(lambda: len(stylist.calls) == 3)
    assert stylist.calls[-1][1].blend == {"durer": 0.75, "ukiyoe": 0.25}


def test_the_compare_slider_moves_by_key_and_the_result_downloads(page: Any, photo: Path) -> None:
    give(page, photo)
    paint(page)
    page.focus("#compare")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    cut = "document.getElementById('frame').style.getPropertyValue('--cut')"
    assert page.evaluate(cut) == "1%"
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "photo_monet.png"
    with Image.open(download.value.path()) as picture:
        assert picture.size == (120, 80) and picture.getpixel((0, 0)) == (0, 255, 255)


def test_a_mask_is_painted_by_pointer_and_cleared(
    page: Any, stylist: FakeStylist, photo: Path
) -> None:
    give(page, photo)
    page.click("#paint")
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    paint(page)
    mask = stylist.calls[-1][2]
    assert mask is not None and mask.size == (120, 80)
    assert mask.getpixel((30, 40)) == 255 and mask.getpixel((110, 40)) == 0
    page.click("#paint")
    page.click("#invert")
    paint(page)
    wait_until(lambda: len(stylist.calls) == 2)
    mask = stylist.calls[-1][2]
    assert mask.getpixel((30, 40)) == 0 and mask.getpixel((110, 40)) == 255
    page.click("#paint")
    page.click("#clear")
    paint(page)
    wait_until(lambda: len(stylist.calls) == 3)
    assert stylist.calls[-1][2] is None


def test_cancel_stops_the_server(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    stylist.gate.clear()
    page.click("#run")
    wait_until(lambda: page.evaluate("document.getElementById('progress').value >= 0.4"))
    page.click("#cancel")
    assert stylist.stopped.wait(5)
    page.wait_for_selector("#run", state="visible")
    assert page.inner_text("#status") == "Cancelled."


def test_errors_are_told_in_the_page(
    page: Any, stylist: FakeStylist, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    page.set_input_files("#file", broken)
    page.wait_for_selector("#alert:has-text('not a picture')")
    give(page, photo)
    assert page.locator("#alert").is_hidden()
    stylist.gate.clear()
    for _ in range(2):  # one at work, one in the only place of the queue
        with photo.open("rb") as file:
            answer = httpx.post(
                f"{page.url}api/jobs", files={"image": file}, data={"style": "durer"}
            )
        assert answer.status_code == 202
        wait_until(lambda: len(stylist.calls) == 1)
    page.click("#run")
    page.wait_for_selector("#alert:has-text('queue is full')")


def test_a_server_that_is_gone_is_told(page: Any, photo: Path) -> None:
    give(page, photo)
    page.server.should_exit = True
    wait_until(lambda: not page.server.started or page.server.should_exit)
    page.wait_for_timeout(800)
    page.click("#run")
    page.wait_for_selector("#alert:has-text('does not answer')")
    assert page.locator("#run").is_visible()


def test_a_large_photo_is_reduced(page: Any, stylist: FakeStylist, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (800, 400), "blue").save(large)
    give(page, large)
    assert "reduced to" in page.inner_text("#status")
    paint(page)
    width, height = stylist.calls[-1][0].size
    assert width * height <= 40_000 and abs(width / height - 2) < 0.02


def test_it_fits_a_phone(page: Any, photo: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    give(page, photo)
    page.check("#blend")
    page.click("#paint")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#run").is_visible()
    paint(page)


def test_keys_alone_are_enough(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    page.evaluate("document.activeElement.blur()")

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("[document.activeElement.id, document.activeElement.name]").count(
                name
            ):
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert name in ("style", "compare") or page.evaluate(outline) != "none"
                return
        raise AssertionError(f"Tab does not reach {name}")

    tab_to("paint")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "mask"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    tab_to("style")
    page.keyboard.press("ArrowRight")
    tab_to("run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#download", state="visible")
    _, settings, mask = stylist.calls[-1]
    assert settings.style == "durer"
    assert mask is not None and mask.getpixel((63, 40)) == 255 and mask.getpixel((5, 5)) == 0
    tab_to("theme")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.dataset.theme") != before

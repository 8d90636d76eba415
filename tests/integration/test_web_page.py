"""The page in a real browser: upload, every control, cancel, errors, phone width, keys alone."""

from __future__ import annotations

import shutil
import threading
import time
import zipfile
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

from lgt.errors import InputError
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
def queue() -> int:
    return 1


@pytest.fixture
def page(browser: Any, stylist: FakeStylist, queue: int) -> Iterator[Any]:
    app = create_app(stylist, limits=Limits(max_pixels=40_000), queue=queue)
    listener = listen("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    home = address(listener)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(15000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: "Content Security" in m.text and problems.append(m.text))
    page.on("request", lambda r: _is_foreign(r.url, home) and problems.append(r.url))
    page.server = server
    page.goto(home)
    page.wait_for_selector("#styles input", state="attached")
    yield page
    context.close()
    stylist.gate.set()
    server.should_exit = True
    thread.join(8)
    listener.close()
    assert problems == []


def _is_foreign(url: str, home: str) -> bool:
    return not url.startswith((home, "blob:", "data:"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (120, 80), "red").save(path)
    return path


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
    end = time.monotonic() + 15
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
    page.check("#keep")
    paint(page)
    wait_until(lambda: len(stylist.calls) == 2)
    changed = stylist.calls[-1][1]
    assert (changed.style, changed.strength) == ("durer", 0.4)
    assert changed.preserve_color
    page.check("#blend")
    page.check("input[name=style2][value=ukiyoe]", force=True)
    slide(page, "#share", 25)
    paint(page)
    wait_until(lambda: len(stylist.calls) == 3)
    assert stylist.calls[-1][1].blend == {"durer": 0.75, "ukiyoe": 0.25}


def test_more_settings_are_sent_only_when_changed(
    page: Any, stylist: FakeStylist, photo: Path
) -> None:
    give(page, photo)
    page.click("#more summary")
    assert page.is_disabled("#seed") and page.is_disabled("#reset")
    changes = [
        ("#scale", 1, {"style_scale": 2.0}),
        ("#detail", 0.75, {"detail": 0.75}),
        ("#repulsion", 0.5, {"repulsion": 0.5}),
        ("#noise", 0.2, {"temperature_lambda": 0.2, "num_steps": 4}),
    ]
    paint(page)
    assert stylist.calls[-1][1].model_fields_set == {"style"}
    for control, value, sent in changes:
        slide(page, control, value)
        assert "changed" in page.inner_text("#changed")
        paint(page)
        settings = stylist.calls[-1][1]
        assert settings.model_fields_set == {"style", *sent}, control
        assert {name: getattr(settings, name) for name in sent} == sent
        assert page.is_enabled("#seed") == (control == "#noise")
        page.click("#reset")
        assert page.inner_text("#changed") == ""
    page.select_option("#side", "384")
    page.select_option("#source", "photo")
    slide(page, "#noise", 0.2)
    slide(page, "#seed", 7)
    paint(page)
    settings = stylist.calls[-1][1]
    assert (settings.max_side, settings.source_style, settings.seed) == (384, "photo", 7)
    page.click("#reset")
    paint(page)
    assert stylist.calls[-1][1].model_fields_set == {"style"}


def test_a_new_variant_asks_for_chance_and_earlier_paintings_stay(
    page: Any, stylist: FakeStylist, photo: Path
) -> None:
    give(page, photo)
    paint(page)
    first = page.get_attribute("#after", "src")
    page.click("#variant")
    page.wait_for_selector("#results", state="visible")
    settings = stylist.calls[-1][1]
    assert settings.temperature_lambda == 0.3 and settings.num_steps == 4 and settings.seed
    assert f"seed {settings.seed}" in page.inner_text("#caption")
    page.locator("#results input").first.check(force=True)
    assert page.get_attribute("#after", "src") == first
    assert page.inner_text("#caption") == "monet"


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


def test_a_mask_is_erased_and_taken_back(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    page.click("#paint")
    assert page.is_disabled("#undo")
    box = page.locator("#mask").bounding_box()

    def stroke(start: float, end: float) -> None:
        page.mouse.move(box["x"] + start * box["width"], box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + end * box["width"], box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()

    def row() -> list[bool]:
        script = """() => { const c = document.getElementById("mask");
            return [0.2, 0.5, 0.8].map((x) => c.getContext("2d")
                .getImageData(c.width * x, c.height / 2, 1, 1).data[3] > 0); }"""
        return page.evaluate(script)

    stroke(0.1, 0.9)
    assert row() == [True, True, True]
    page.click("#erase")
    stroke(0.4, 0.6)
    assert row() == [True, False, True]
    page.click("#invert")
    assert row() == [False, True, False]
    page.click("#clear")
    assert row() == [False, False, False]
    seen = []
    for _ in range(3):
        page.click("#undo")
        seen.append(row())
    assert seen == [[False, True, False], [True, False, True], [True, True, True]]
    page.focus("#mask")
    page.keyboard.press("u")
    assert row() == [False, False, False] and page.is_disabled("#undo")


def test_photos_are_dropped_and_pasted(page: Any, photo: Path) -> None:
    files = page.evaluate_handle("""async () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 90, height: 60 });
        canvas.getContext("2d").fillRect(0, 0, 90, 60);
        const blob = await new Promise((done) => canvas.toBlob(done));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        const data = new DataTransfer();
        for (const name of ["a.png", "b.png"]) data.items.add(new File([blob], name));
        return data; }""")
    page.dispatch_event("#stage", "dragover", {"dataTransfer": files})
    assert "over" in page.get_attribute("#stage", "class")
    page.dispatch_event("#stage", "drop", {"dataTransfer": files})
    wait_until(lambda: page.locator("#photos label").all_inner_texts() == ["a.png", "b.png"])
    page.keyboard.press("Control+V")
    wait_until(lambda: page.locator("#photos label").count() == 3)
    page.click("#remove")
    assert page.locator("#photos label").count() == 2


@pytest.mark.parametrize("queue", [4])
def test_several_photos_are_painted_and_come_as_one_file(
    page: Any, stylist: FakeStylist, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jpg"
    Image.new("RGB", (60, 90), "blue").save(other)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no")
    page.set_input_files("#file", [photo, other, broken])
    page.wait_for_selector("#alert:has-text('broken.png')")
    stylist.gate.clear()
    page.click("#all")
    wait_until(
        lambda: (
            page.locator("#photos i").all_inner_texts() == ["50%", "waits"]
            or (page.locator("#photos i").all_inner_texts() == ["40%", "waits"])
        )
    )
    page.click("#cancel")
    assert stylist.stopped.wait(5)
    stylist.gate.set()
    page.click("#all")
    page.wait_for_selector("#zip", state="visible")
    assert page.inner_text("#status") == "Painted 2 of 2."
    assert page.locator("#photos i").all_inner_texts() == ["done", "done"]
    with page.expect_download() as download:
        page.click("#zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == ["photo_monet.png", "other_monet.png"]
    page.locator("#photos input").nth(1).check(force=True)
    wait_until(lambda: page.evaluate("document.getElementById('after').naturalHeight") == 90)


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
    stylist.gate.set()
    wait_until(lambda: len(stylist.calls) == 2)
    page.wait_for_timeout(300)
    page.click("#retry")
    page.wait_for_selector("#download", state="visible")


def test_a_failed_job_says_why(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    stylist.error = InputError("this photo is too odd")
    page.click("#run")
    page.wait_for_selector("#alert:has-text('too odd')")
    stylist.error = None
    page.click("#retry")
    page.wait_for_selector("#download", state="visible")


def test_a_server_that_goes_in_the_middle_is_told(
    page: Any, stylist: FakeStylist, photo: Path
) -> None:
    give(page, photo)
    stylist.gate.clear()
    page.click("#run")
    wait_until(lambda: page.evaluate("document.getElementById('progress').value >= 0.4"))
    page.route("**/api/**", lambda route: route.abort())
    page.server.force_exit = page.server.should_exit = True
    page.wait_for_selector("#alert:has-text('does not answer')")
    assert page.locator("#run").is_visible() and page.locator("#retry").is_visible()


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
    page.click("#more summary")
    small = page.evaluate("""() => [...document.querySelectorAll(
        "button, a, select, summary, input[type=range], input[type=number], .switch, .strip label")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44)
        .map((each) => each.id || each.className)""")
    assert small == []
    paint(page)


def test_keys_alone_are_enough(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    page.evaluate("document.activeElement.blur()")

    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(
                "[document.activeElement.id || document.activeElement"
                ".parentElement.id, document.activeElement.name]"
            ).count(name):
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
    tab_to("more")
    page.keyboard.press("Enter")
    tab_to("detail")
    page.keyboard.press("End")
    tab_to("run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#download", state="visible")
    _, settings, mask = stylist.calls[-1]
    assert settings.style == "durer" and settings.detail == 1
    assert mask is not None and mask.getpixel((63, 40)) == 255 and mask.getpixel((5, 5)) == 0
    tab_to("theme")
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.dataset.theme") != before

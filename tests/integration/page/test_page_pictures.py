"""The page in a real browser: photos come in, masks, comparison, downloads."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from limits import HANG
from pages import give, paint, wait_until
from PIL import Image, features

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")

from stylists import FakeStylist

from lgt.paint.provenance import FileRecord, read_provenance, short_sha256


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


def test_a_tiff_is_shown_and_painted(page: Any, stylist: FakeStylist, tmp_path: Path) -> None:
    """Chromium can not decode it: the server makes the preview; the file itself is sent."""
    scan = tmp_path / "scan.tif"
    Image.new("CMYK", (1400, 20), (0, 255, 255, 0)).save(scan)
    give(page, scan)
    script = "(({naturalWidth: w, naturalHeight: h}) => [w, h])(document.getElementById('before'))"
    assert page.evaluate(script) == [1024, 15]
    paint(page)
    assert stylist.calls[-1][0].size == (1400, 20)
    with page.expect_download() as download:
        page.click("#download")
    made = read_provenance(Path(download.value.path()))
    assert made is not None
    assert made.input == FileRecord(name="scan.tif", sha256=short_sha256(scan.read_bytes()))


@pytest.mark.skipif(not features.check("avif"), reason="Pillow writes no AVIF here")
def test_what_only_the_browser_reads_is_sent_as_jpeg(
    page: Any, stylist: FakeStylist, tmp_path: Path
) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "photo.avif")
    give(page, tmp_path / "photo.avif")
    assert "sent as a JPEG" in page.text_content("#status")
    paint(page)
    sent = stylist.calls[-1][0]
    assert sent.size == (60, 40) and sent.getpixel((30, 20))[0] > 240


def test_a_mask_is_painted_by_pointer_and_cleared(
    page: Any, stylist: FakeStylist, photo: Path
) -> None:
    give(page, photo)
    page.click("#paint")
    assert page.is_disabled("#save-mask")
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
    with page.expect_download() as download:
        page.click("#save-mask")
    assert download.value.suggested_filename == "mask.png"
    with Image.open(download.value.path()) as saved:
        assert saved.convert("L").tobytes() == mask.tobytes()
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
    assert stylist.stopped.wait(HANG)
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


def test_a_large_photo_is_reduced(page: Any, stylist: FakeStylist, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (800, 400), "blue").save(large)
    give(page, large)
    assert "reduced to" in page.inner_text("#status")
    paint(page)
    width, height = stylist.calls[-1][0].size
    assert width * height <= 40_000 and abs(width / height - 2) < 0.02

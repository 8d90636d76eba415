"""The page in a real browser: every control, cancel, errors, phone width, keys alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from limits import HANG
from pages import give, paint, slide, wait_until

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx
from stylists import FakeStylist

from lgt.errors import InputError


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
        ("#color", 0.5, {"color": 0.5}),
        ("#refine", 12, {"refine": 12}),
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
    assert page.get_by_label("Canvas").get_attribute("id") == "canvas"
    for value, words in (("768", "canvas 768 px"), ("0", "exact size")):
        page.select_option("#canvas", value)
        assert page.inner_text("#changed") == "1 changed"
        paint(page)
        settings = stylist.calls[-1][1]
        assert settings.model_fields_set == {"style", "canvas"}
        assert settings.canvas == int(value) and words in page.inner_text("#caption")
    page.click("#reset")
    assert page.input_value("#canvas") == ""
    page.focus("#canvas")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#canvas") == "256"
    page.click("#reset")
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


def test_cancel_stops_the_server(page: Any, stylist: FakeStylist, photo: Path) -> None:
    give(page, photo)
    stylist.gate.clear()
    page.click("#run")
    wait_until(lambda: page.evaluate("document.getElementById('progress').value >= 0.4"))
    page.click("#cancel")
    assert stylist.stopped.wait(HANG)
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
    page.wait_for_selector(
        "#alert:has-text('server was stopped'), #alert:has-text('does not answer')"
    )
    assert page.locator("#run").is_visible() and page.locator("#retry").is_visible()


def test_a_server_that_is_gone_is_told(page: Any, photo: Path) -> None:
    give(page, photo)
    page.server.should_exit = True
    wait_until(lambda: not page.server.started or page.server.should_exit)
    page.wait_for_timeout(800)
    page.click("#run")
    page.wait_for_selector("#alert:has-text('does not answer')")
    assert page.locator("#run").is_visible()


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


COVERED = """() => {
  const there = document.activeElement.getBoundingClientRect();
  const bar = document.getElementById("go").getBoundingClientRect();
  return !document.getElementById("go").contains(document.activeElement) && there.bottom > bar.top
    && document.getElementById("controls").contains(document.activeElement);
}"""


@pytest.mark.parametrize("height", [420, 800])
def test_no_control_that_keys_reach_lies_under_the_bar(page: Any, photo: Path, height: int) -> None:
    page.set_viewport_size({"width": 1280, "height": height})
    give(page, photo)
    page.evaluate("document.getElementById('more').open = true")
    page.check("#blend")
    reached = set()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    for _ in range(40):
        page.keyboard.press("Tab")
        assert not page.evaluate(COVERED), page.evaluate("document.activeElement.outerHTML")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.id"))
    assert {"style", "style2", "strength", "share", "detail", "run"} <= reached


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

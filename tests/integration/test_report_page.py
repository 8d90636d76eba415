"""The report of a run in a real browser: from disk, both widths, light and dark, values, slider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pages import BROWSER, NO_BROWSER, OPTIONS, WITHOUT_CARD
from PIL import Image
from toys import config, trainer

pytest.importorskip("playwright.sync_api", reason="needs playwright")

from playwright import sync_api

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)


def look(browser: Any, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "no sideways scroll"
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    figure = page.locator("figure").filter(has_text="total")
    assert figure.locator("output").text_content().endswith("at step 9")
    figure.locator("svg").hover(position={"x": 62, "y": 60})
    assert figure.locator("output").text_content().endswith("at step 3")
    shown = page.locator(".sheet:visible b")
    assert shown.all_text_contents() == ["epoch 3"], "the newest first"
    page.locator("#when").press("Home")
    assert shown.all_text_contents() == ["epoch 1"]
    assert page.locator(".sheet:visible img").evaluate("image => image.naturalWidth") > 100
    assert problems == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    page.close()


def test_the_report_opens_from_disk(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (80, 70), "teal").save(tmp_path / "photos" / "a.png")
    settings = config(
        checkpoint__save_dir=str(tmp_path / "run"),
        checkpoint__num_samples=1,
        checkpoint__preview_dir=str(tmp_path / "photos"),
        training__num_epochs=3,
    )
    trainer(settings).run()
    address = (tmp_path / "run" / "report.html").as_uri()
    with sync_api.sync_playwright() as playwright:
        options = [*OPTIONS, WITHOUT_CARD]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")):
            look(browser, address, width, scheme)
        browser.close()

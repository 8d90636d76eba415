"""The page of `scripts/blind_pairs.py` in a real browser: keys, clicks, going on, the download."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from toys import make_images, picture

from lgt.image import save_image


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a page of four pairs; return the script."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts"))
    monkeypatch.chdir(tmp_path)
    names = [f"p{i}.png" for i in range(4)]
    make_images(tmp_path / "photos", names)
    for number, method in enumerate(("zebra", "okapi")):
        for index, name in enumerate(names):
            save_image(picture(10 * (number + 1) + index), tmp_path / method / "dots" / name)
    script = import_module("blind_pairs")
    script.main(["make", "zebra", "okapi", "--photos", "photos", "--out", "blind"])
    return script


def test_choices_are_made_kept_and_downloaded(
    browser: Any, script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "blind/pairs.html").as_uri())
    assert page.inner_text("#where") == "Pair 1 of 4, style: dots"
    page.wait_for_function("document.querySelector('#left img').naturalWidth === 40")
    page.keyboard.press("z")
    assert page.get_attribute("#three", "class") == "near"
    page.click("#photo")
    assert page.get_attribute("#three", "class") == ""
    page.keyboard.press("ArrowLeft")
    page.click("#right img")
    assert page.inner_text("#where").startswith("Pair 3 of 4")
    page.keyboard.press("Backspace")
    assert "chosen" in page.get_attribute("#right", "class")
    page.keyboard.press("ArrowLeft")
    page.reload()
    assert page.inner_text("#where").startswith("Pair 3 of 4")
    page.click("#none")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#where").startswith("4 of 4 pairs chosen")
    assert page.is_hidden("#three") and page.is_hidden("#none")
    for word in ("zebra", "okapi", "p0"):
        assert word not in page.inner_text("body")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "choices.json")
    context.close()
    saved = json.loads((tmp_path / "choices.json").read_text())
    assert saved["choices"] == {"1": "left", "2": "left", "3": "none", "4": "right"}
    capsys.readouterr()
    script.main(["count", "choices.json", "--key", "blind/key.json"])
    assert "4 choices of 4" in capsys.readouterr().out
    assert problems == []

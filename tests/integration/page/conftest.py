"""A server with a stylist that paints nothing, and a real browser that shows its page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from limits import HANG
from pages import BROWSER, NO_BROWSER, OPTIONS, WITHOUT_CARD
from PIL import Image


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    for module in ("fastapi", "httpx", "playwright.sync_api"):
        pytest.importorskip(module, reason=f"needs {module}")
    if BROWSER is None:
        pytest.skip(NO_BROWSER)
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        options = [*OPTIONS, WITHOUT_CARD]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield browser
        browser.close()


@pytest.fixture
def stylist() -> Any:
    from stylists import FakeStylist

    return FakeStylist()


@pytest.fixture
def queue() -> int:
    return 1


@pytest.fixture
def page(browser: Any, stylist: Any, queue: int) -> Iterator[Any]:
    from lgt.web.api import create_app
    from lgt.web.limits import Limits
    from lgt.web.server import address, listen, make_server

    app = create_app(stylist, limits=Limits(max_pixels=40_000), queue=queue)
    listener = listen("127.0.0.1", 0)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    home = address(listener)
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(1000 * HANG)
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

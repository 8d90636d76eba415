"""The page behind a proxy: the name of its host, and a sub-path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from PIL import Image
from stylists import FakeStylist
from web_client import png

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="TestClient needs httpx")

from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount

from lgt.errors import InputError
from lgt.web.api import create_app
from lgt.web.guard import sub_path
from lgt.web.limits import Limits

LIMITS = Limits(max_pixels=40_000, max_upload=60_000, max_batch=3)
NGINX = r"nginx: proxy_set_header Host \$http_host;\), and --allow_host must name it"


def test_a_proxy_that_hides_the_host_is_told_what_to_pass_on() -> None:
    """nginx sends the address of the server itself as Host, unless it is told otherwise."""
    app = create_app(FakeStylist(), allowed_hosts=("paint.example.com",))
    origin = {"Origin": "https://paint.example.com"}
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        refused = client.get("/api/health", headers=origin)
        assert refused.status_code == 403
        assert (
            "'https://paint.example.com', and this server was asked as '127.0.0.1:7860'"
            in (refused.json()["detail"])
        )
        assert re.search(NGINX, refused.json()["detail"])
        wrong = client.get("/api/health", headers={"Host": "other.example.com"})
        assert wrong.status_code == 421 and re.search(NGINX, wrong.json()["detail"])
        passed = client.get("/api/health", headers={**origin, "Host": "paint.example.com"})
        assert passed.status_code == 200


def proxied(app: Any, *, strips: bool) -> Any:
    """Return an application that shows another one under /paint, as a reverse proxy does."""

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        path = scope["path"]
        assert path.startswith("/paint"), path
        await app({**scope, "path": path.removeprefix("/paint") if strips else path}, receive, send)

    return proxy


def mounted(root_path: str, *, strips: bool) -> Any:
    """Return the application under /paint: behind a proxy, or mounted in another one."""
    app = create_app(FakeStylist(), limits=LIMITS, root_path=root_path)
    if root_path:
        return proxied(app, strips=strips)
    return Starlette(routes=[Mount("/paint", app)])


@pytest.mark.parametrize(
    ("root_path", "strips"),
    [("/paint", True), ("/paint/", False), ("", False)],
    ids=["taken off", "left", "mounted"],
)
def test_the_page_works_under_a_sub_path(root_path: str, strips: bool) -> None:
    with TestClient(mounted(root_path, strips=strips), base_url="http://127.0.0.1") as client:
        seen = ["/paint/", "/paint/docs"]
        for home in seen.copy():
            text = client.get(home).text
            links = re.findall(r'(?:src|href)="([^"#]+)"', text)
            assert links
            seen += [urljoin(home, link) for link in links]
        assert len(seen) >= 9
        for path in seen:
            assert client.get(path).status_code == 200, path
        if not strips:
            assert str(client.get("/paint").url) == "http://127.0.0.1/paint/"
        answer = client.post("/paint/api/jobs", files={"image": png()}, data={"style": "monet"})
        assert answer.status_code == 202, answer.text
        job = f"/paint/api/jobs/{answer.json()['id']}"
        assert "event: done" in client.get(f"{job}/events").text
        assert client.get(f"{job}/result").status_code == 200
        assert client.get(job, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        large = client.post("/paint/api/jobs", files={"image": b"x" * 300_000})
        assert large.status_code == 413


def test_links_of_answers_have_the_sub_path(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "blue").save(tmp_path / "monet.jpg")
    for name in ("photo", "durer", "ukiyoe"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.jpg")
    app = create_app(FakeStylist(tmp_path), root_path="/paint")
    with TestClient(app, base_url="http://127.0.0.1") as client:
        place = client.get("/api/styles").json()["styles"][1]["thumbnail"]
        assert place == "/paint/api/styles/monet/thumbnail"
        assert client.get(place).status_code == 200
        assert client.get("/paintings").status_code == 404


def test_scripts_ask_relative_to_the_page() -> None:
    from lgt.web.api import STATIC

    scripts = sorted(STATIC.glob("*.js"))
    for path in scripts:
        found = re.findall(r"""["'`]/(?!/)\w[^"'`]*["'`]""", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found}"
    assert len(scripts) >= 6


@pytest.mark.parametrize("text", ["paint", "/a b", "/../x", "http://x/paint", "/a//b"])
def test_a_sub_path_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--root_path: must be a path such as /paint"):
        sub_path(text)

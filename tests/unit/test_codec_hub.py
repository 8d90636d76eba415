"""Codecs from the hub: a stand-in hub on this machine, the local cache, and no network at all.

huggingface_hub reads its settings when it is imported; so they are changed there.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import AutoencoderTiny
from huggingface_hub import constants

import lgt.codec.hub
from lgt.codec import DEFAULT_HUB_ID, CodecSourceError, load_codec
from lgt.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Use an empty cache and no network, whatever the environment of the tests says."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.delenv("LGT_CODEC", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    use_hub(monkeypatch, NOWHERE)


def use_hub(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    AutoencoderTiny(
        encoder_block_out_channels=(4, 4),
        decoder_block_out_channels=(4, 4),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(folder)
    return folder


def fill_cache(home: Path, repository: str, model: Path) -> None:
    """Lay files out as huggingface_hub keeps them."""
    base = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = base / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(COMMIT)
    for path in model.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())


@contextmanager
def hub(files: dict[str, bytes], status: int = 404) -> Iterator[str]:
    """Serve files as the hub does; anything else answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            content = files.get(self.path.partition("?")[0])
            if content is None:
                self.send_response(status)
                self.send_header("X-Error-Code", "EntryNotFound" if files else "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_local_cache_needs_no_network(tmp_path: Path, model: Path) -> None:
    fill_cache(tmp_path, DEFAULT_HUB_ID, model)
    spec = load_codec(DEFAULT_HUB_ID).spec
    assert spec.name == spec.source == "stabilityai/sd-vae-ft-mse"


def test_a_hub_id_is_downloaded_once(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    files = {
        f"/some.one/tiny/resolve/main/{path.name}": path.read_bytes() for path in model.iterdir()
    }
    with hub(files) as endpoint:
        use_hub(monkeypatch, endpoint)
        first = load_codec("some.one/tiny").spec
    assert first.latent_channels == 4
    assert first.downscale == 2
    assert load_codec("some.one/tiny").spec == first  # the hub is gone: from the cache


def test_a_pipeline_on_the_hub(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    files = {f"/a/pipe/resolve/main/vae/{p.name}": p.read_bytes() for p in model.iterdir()}
    with hub(files) as endpoint:
        use_hub(monkeypatch, endpoint)
        assert load_codec("a/pipe").spec.downscale == 2


@pytest.mark.parametrize("status", [401, 404])
def test_a_repository_that_is_not_there(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with hub({}, status) as endpoint:
        use_hub(monkeypatch, endpoint)
        with pytest.raises(CodecSourceError, match="the hub has no such repository, or it holds"):
            load_codec("no/such")


def test_unreachable_hub_is_told() -> None:
    with pytest.raises(CodecError, match=r"cache, and http://127\.0\.0\.1:9 can not be reached"):
        load_codec("madebyollin/taesd")
    with pytest.raises(CodecError, match="connect to the network once, or give a local folder, or"):
        load_codec("madebyollin/taesd")


def connections(server: socket.socket) -> int:
    """Count the connections that wait to be accepted."""
    server.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lgt.codec.hub, "REACH_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        use_hub(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(CodecError, match=r"can not be reached .* or use 'embedded'"):
            load_codec(DEFAULT_HUB_ID)
        assert connections(silent) == 1  # One wait, not one for each file and each retry.


def test_auto_is_the_embedded_codec_and_asks_nobody(tmp_path: Path, model: Path) -> None:
    fill_cache(tmp_path, DEFAULT_HUB_ID, model)  # what happens to be cached changes nothing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_codec("auto").spec == load_codec("embedded").spec


def test_auto_takes_the_environment_variable(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setenv("LGT_CODEC", str(model))
    assert load_codec("auto").spec.source == str(model)
    monkeypatch.setenv("LGT_CODEC", "auto")
    assert load_codec("auto").spec.name == "embedded"
    monkeypatch.setenv("LGT_CODEC", "./nowhere")
    with pytest.raises(CodecSourceError, match="no such folder"):
        load_codec("auto")


def test_offline_mode_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CodecError, match="cache, and HF_HUB_OFFLINE is set; unset it, or"):
        load_codec("a/b")

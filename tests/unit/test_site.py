"""The folder that paints in browsers: what is in it, and where ONNX Runtime comes from."""

import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from lgt.cli.export_cmd import export
from lgt.errors import InputError
from lgt.runtime import Runtime
from lgt.runtime.graph import styles_graph, velocity_graph
from lgt.runtime.style_layers import code_length
from lgt.runtime.weights import read_weights
from lgt.site import library as source
from lgt.site import write

PARTS = {name: f"content of {name}".encode() for name in source.FILES}
LIBRARY = {part.name: b"x" for part in source.FILES.values()}


@pytest.fixture(scope="module")
def runtime():
    return Runtime(backend="onnx", threads=1)


@pytest.fixture(scope="module")
def files(runtime):
    return write.site_files(runtime, LIBRARY)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive as npm makes them, which is the one that is known here."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w:gz") as made:
        for name, data in PARTS.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    known = {
        name: source.Part(part.name, hashlib.sha256(PARTS[name]).hexdigest())
        for name, part in source.FILES.items()
    }
    monkeypatch.setattr(source, "FILES", known)
    monkeypatch.setattr(source, "_cache", lambda: tmp_path / "cache")
    path = tmp_path / f"onnxruntime-web-{source.VERSION}.tgz"
    path.write_bytes(kept.getvalue())
    return path


def check(found):
    assert set(found) == {part.name for part in source.FILES.values()}
    for name, data in PARTS.items():
        given = found[source.FILES[name].name]
        assert (gzip.decompress(given) if name.endswith(".wasm") else given) == data


def test_one_graph_paints_all_styles_blends_and_added_styles(runtime):
    import onnxruntime

    weights = dict(read_weights(runtime.path))
    full, half = styles_graph(weights), styles_graph(weights, is_half=True)
    assert len(half) < 0.6 * len(full)
    run = onnxruntime.InferenceSession(full).run
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((1, 4, 11, 14), np.float32)
    added = 0.05 * rng.standard_normal(code_length(weights), np.float32)
    first, second = runtime.painted_styles[:2]
    for code in (runtime.code(first), runtime.code({first: 0.3, second: 0.7}), added):
        given = np.zeros((1, code_length(weights)), np.float32)
        given[0, : code.size] = code
        velocity = onnxruntime.InferenceSession(velocity_graph(weights, code)).run(
            None, {"latent": latent, "time": np.zeros((), np.float32)}
        )[0]
        expected = latent + velocity
        found = run(None, {"latent": latent, "code": given})[0]
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_folder_names_only_files_that_it_has(files):
    """Modules, styles, pictures and what the service worker keeps; no path starts at the root."""
    names = json.loads(files[write.LIST])
    assert set(names) == set(files)
    kept = re.search(r"FILES = (\[.*\]);", files["sw.js"].decode())
    assert kept and set(json.loads(kept[1])) == set(files) - {"sw.js", write.LIST}
    page = files["index.html"].decode()
    linked = re.findall(r'(?:href|src)="([^"#]+)"', page)
    manifest = json.loads(files["manifest.webmanifest"])
    linked += [icon["src"] for icon in manifest["icons"]]
    for name in files:
        if name.startswith("static/") and name.endswith(".js"):
            text = files[name].decode()
            linked += [f"static/{m}" for m in re.findall(r'from "\./([^"]+)"', text)]
            linked += re.findall(r'"\.\./([^"$]+)"', text)
    assert len(linked) > 30
    assert [name for name in linked if name not in files] == []
    assert "server" not in page and "never leaves this device" in page


def test_a_description_knows_every_style_of_the_model(files, runtime):
    description = json.loads(files["model.json"])
    codes = np.frombuffer(files["model/codes.bin"], "<f4")
    for style in description["styles"]:
        place = description["codes"][style["name"]]
        code = codes[place["start"] : place["start"] + place["length"]]
        np.testing.assert_array_equal(code, runtime.code(style["name"]))
        assert style["is_painted"] == (style["thumbnail"] in files)
    fetched = ("encoder", "network", "decoder")
    size = sum(len(files[f"model/{name}.onnx"]) for name in fetched) + codes.nbytes
    assert description["bytes"] == size + len(files["runtime/ort.wasm.gz"])


def test_a_folder_is_replaced_and_other_files_stay(files, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "site_files", lambda *_: files)
    (tmp_path / "CNAME").write_text("paint.example.com")
    write.write_site(runtime, tmp_path, LIBRARY)
    listed = tmp_path / write.LIST
    old = tmp_path / "static" / "old.js"
    old.write_text("")
    listed.write_text(json.dumps([*json.loads(listed.read_text()), "static/old.js"]))
    sizes = write.write_site(runtime, tmp_path, LIBRARY)
    assert not old.exists() and (tmp_path / "CNAME").is_file()
    assert sizes["sw.js"] == (tmp_path / "sw.js").stat().st_size


@pytest.mark.parametrize(
    ("text", "message"),
    [("5", "list of an export's files"), ("{", "list of an export's files"), ('["../up"]', "up")],
)
def test_a_damaged_list_of_files_removes_nothing(runtime, tmp_path, text, message):
    (tmp_path / "up").write_text("mine")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / write.LIST).write_text(text)
    with pytest.raises(InputError, match=message):
        write.write_site(runtime, folder, LIBRARY)
    assert (tmp_path / "up").is_file()
    assert [path.name for path in folder.iterdir()] == [write.LIST]


def test_a_foreign_page_is_not_overwritten(runtime, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError, match="did not write"):
        write.write_site(runtime, tmp_path, LIBRARY)
    with pytest.raises(InputError, match="is a file"):
        write.write_site(runtime, tmp_path / "index.html", LIBRARY)


def test_the_library_is_taken_from_an_archive_or_a_folder(archive, tmp_path):
    check(source.library(archive))
    folder = tmp_path / "node_modules" / "onnxruntime-web"
    (folder / "dist").mkdir(parents=True)
    for name, data in PARTS.items():
        (folder / "dist" / name).write_bytes(data)
    about = {"name": "onnxruntime-web", "version": source.VERSION}
    (folder / "package.json").write_text(json.dumps(about))
    check(source.library(folder))
    (folder / "dist" / "ort.webgpu.min.mjs").unlink()
    with pytest.raises(InputError, match=r"lacks ort\.webgpu"):
        source.library(folder)
    (folder / "package.json").write_text(json.dumps(about | {"version": "1.0.0"}))
    with pytest.raises(InputError, match=rf"1\.0\.0, and the page needs .* {source.VERSION}"):
        source.library(folder)
    with pytest.raises(InputError, match=r"no package\.json"):
        source.library(tmp_path)


def test_the_library_is_downloaded_once_and_checked(archive, tmp_path, monkeypatch):
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(source, "HOST", f"http://127.0.0.1:{server.server_port}")
    folder = tmp_path / f"onnxruntime-web@{source.VERSION}" / "dist"
    folder.mkdir(parents=True)
    for name, data in PARTS.items():
        (folder / name).write_bytes(data)
    damaged = folder / "ort.webgpu.min.mjs"
    try:
        damaged.write_bytes(b"another")
        with pytest.raises(InputError, match="not the one"):
            source.library()
        damaged.write_bytes(PARTS[damaged.name])
        check(source.library())
    finally:
        server.shutdown()
        server.server_close()
    check(source.library())  # Kept: there is no server any more.
    next((tmp_path / "cache").rglob("*.wasm")).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"could not be downloaded .* --runtime"):
        source.library()


def test_another_archive_is_refused(archive, tmp_path, monkeypatch):
    (tmp_path / "a.tgz").write_bytes(b"something else")
    with pytest.raises(InputError, match="not the archive of onnxruntime-web"):
        source.library(tmp_path / "a.tgz")
    with pytest.raises(InputError, match="can not be read"):
        source.library(tmp_path / "none.tgz")
    name = "ort.webgpu.min.mjs"
    monkeypatch.setitem(source.FILES, name, source.FILES[name]._replace(sha256="0"))
    with pytest.raises(InputError, match=rf"{name} is not that of .* SHA-256 is another"):
        source.library(archive)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"web": Path("d"), "style": "monet", "check": False}, "it takes no --style, --check"),
        ({"web": Path("d"), "output": Path("a.onnx")}, "it takes no OUT"),
        ({"output": Path("a.onnx"), "style": "monet", "runtime": Path("x")}, "belongs to --web"),
        ({"style": "monet"}, "give OUT"),
        ({"output": Path("a.onnx")}, "give --style NAME"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(InputError, match=message):
        export(**options)


def test_the_shared_page_is_one() -> None:
    """What both pages have lies with the server; only who paints differs."""
    own = {path.name for path in write.HERE.iterdir()}
    shared = {path.name for path in write.SHARED.iterdir()}
    assert own & shared == {"backend.js", "work.js"}
    assert all(len(path.read_text().splitlines()) <= 400 for path in Path(write.HERE).glob("*.js"))

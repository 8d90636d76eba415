"""The folder itself: what goes in, and how the page of `lgt serve` becomes one without a server."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lgt.errors import InputError
from lgt.files import atomic_write

if TYPE_CHECKING:
    from lgt.runtime import Runtime

HERE = Path(__file__).parent / "static"
SHARED = Path(__file__).parents[1] / "web" / "static"
"""The page of the server: all of it that does not talk to the server is taken as it is."""

LIST = "files.json"
"""Names of all files of a folder, by which the next export knows what it may remove."""

OTHERS = ("index.html", "docs.html", "docs.js")
"""Of the server's files those that are not taken as they are."""

POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "img-src 'self' blob: data:; connect-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'"
)
"""The browser itself sees to it that the page talks to nobody but its own host."""

CHANGES: Mapping[str, str] = {
    '<link rel="stylesheet" href="static/controls.css">': (
        '<link rel="stylesheet" href="static/controls.css">\n'
        '<link rel="stylesheet" href="static/device.css">\n'
        '<link rel="manifest" href="manifest.webmanifest">\n'
        '<link rel="apple-touch-icon" href="static/icon-192.png">\n'
        '<meta name="theme-color" content="#35607f">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    ),
    "JPEG, PNG, WebP or TIFF. Nothing leaves this server.": (
        "JPEG, PNG, WebP or AVIF. Your photo never leaves this device."
    ),
}
"""What of the server's page reads otherwise here."""

MANIFEST = {
    "name": "LGT",
    "short_name": "LGT",
    "description": "Paints your photos on your own device",
    "start_url": "./",
    "scope": "./",
    "display": "standalone",
    "background_color": "#f6f5f2",
    "theme_color": "#35607f",
    "icons": [
        {"src": f"static/icon-{side}.png", "sizes": f"{side}x{side}", "type": "image/png"}
        for side in (192, 512)
    ],
}

Files = dict[str, bytes]


def write_site(runtime: Runtime, folder: Path, library: Mapping[str, bytes]) -> dict[str, int]:
    """Write the folder and return the bytes of each file; an earlier export there is replaced.

    Args:
        runtime: The model.
        folder: Where; other files in it stay.
        library: ONNX Runtime, from :func:`lgt.site.library.library`.

    Raises:
        InputError: The folder holds a page that is not an earlier export.
    """
    earlier = _earlier(folder)
    files = site_files(runtime, library)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)
    for name in earlier - files.keys():
        (folder / name).unlink(missing_ok=True)
    return {name: len(data) for name, data in files.items()}


def site_files(runtime: Runtime, library: Mapping[str, bytes]) -> Files:
    """Return all files by their paths in the folder."""
    files = dict(_model_files(runtime))
    files |= {f"runtime/{name}": data for name, data in library.items()}
    fetched = ("model/", "runtime/ort.wasm")
    description = _description(runtime, files)
    description["bytes"] = sum(len(d) for name, d in files.items() if name.startswith(fetched))
    for place in (SHARED, HERE):
        for path in sorted(place.iterdir()):
            if path.name not in OTHERS:
                files[f"static/{path.name}"] = path.read_bytes()
    files["model.json"] = _json(description)
    files["manifest.webmanifest"] = _json(MANIFEST)
    files["index.html"] = _page().encode()
    worker = files.pop("static/sw.js").decode()  # It serves the folder that it lies in.
    digest = hashlib.sha256(worker.encode())
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    worker = worker.replace("__FILES__", json.dumps(sorted(files)))
    files["sw.js"] = worker.replace("__VERSION__", digest.hexdigest()[:16]).encode()
    files[LIST] = _json(sorted([*files, LIST]))
    return files


def _page() -> str:
    text = (SHARED / "index.html").read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        if text.count(old) != 1:
            raise InputError(f"the page of lgt serve does not hold {old!r}; install lgt again")
        text = text.replace(old, new)
    return text


def _model_files(runtime: Runtime) -> Iterator[tuple[str, bytes]]:
    """Yield the graphs, the photo to try it with and a picture of each style."""
    from lgt.image import open_image
    from lgt.model.shipped import CODEC_FILE, EMBEDDED, MODEL_FOLDER, SOURCE_NAME, thumbnail
    from lgt.runtime.graph import decoder_graph, encoder_graph, styles_graph
    from lgt.runtime.weights import read_weights

    runtime.check_one_step()
    codec = dict(read_weights(CODEC_FILE))
    yield "model/encoder.onnx", encoder_graph(codec, is_half=True)
    yield "model/decoder.onnx", decoder_graph(codec, is_half=True)
    yield "model/network.onnx", styles_graph(dict(read_weights(runtime.path)), is_half=True)
    sample = MODEL_FOLDER / SOURCE_NAME
    yield "sample.jpg", sample.read_bytes()
    photo = open_image(sample)
    for number, name in enumerate(runtime.style_names):
        if name not in runtime.painted_styles:
            continue
        added = runtime.added_styles.get(name)
        stored = thumbnail(name) if runtime.name == EMBEDDED else None
        if added is not None and added.thumbnail:
            yield _thumbnail(number), added.thumbnail
        elif stored is not None and stored.is_file():
            yield _thumbnail(number), stored.read_bytes()
        else:
            kept = io.BytesIO()
            runtime.stylize(photo, name).save(kept, "JPEG", quality=90)
            yield _thumbnail(number), kept.getvalue()


def _thumbnail(number: int) -> str:
    return f"styles/{number}.jpg"


def _description(runtime: Runtime, files: Files) -> dict[str, Any]:
    """Return what the page needs to know of the model; also add the styles' codes to the files."""
    from lgt.runtime.style_layers import code_length
    from lgt.runtime.weights import read_weights

    codes = {name: runtime.code(name) for name in runtime.style_names}
    files["model/codes.bin"] = np.concatenate([*codes.values()]).astype("<f4").tobytes()
    places, start = {}, 0
    for name, code in codes.items():
        places[name] = {"start": start, "length": code.size}
        start += code.size
    try:
        own = runtime.style_names[runtime.own_style(None)]
    except InputError:  # Then there is nothing to paint away from.
        own = None
    return {
        "model": runtime.name,
        "canvas": runtime.canvas,
        "detail": runtime.detail,
        "color": runtime.color,
        "own": own,
        "codes": places,
        "code_length": code_length(dict(read_weights(runtime.path))),
        "styles": [
            {
                "name": name,
                "thumbnail": _thumbnail(i) if _thumbnail(i) in files else None,
                "is_painted": name in runtime.painted_styles,
                "is_added": name in runtime.added_styles,
            }
            for i, name in enumerate(runtime.style_names)
        ],
    }


def _earlier(folder: Path) -> set[str]:
    """Return the files of an earlier export.

    Raises:
        InputError: There is a page, and it is of something else; or this is a file; or the list of
            the earlier one's files is damaged, or leads elsewhere.
    """
    from lgt.damage import one_sentence, read_json
    from lgt.names import check_file_name

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder")
    listed = folder / LIST
    if listed.is_file():
        with one_sentence(listed, "the list of an export's files", "name another folder"):
            names = read_json(listed.read_text(encoding="utf-8"))
            if not isinstance(names, list):
                raise TypeError(f"expected a list, found {type(names).__name__}")
            return {check_file_name(name, is_nested=True) for name in names}
    if (folder / "index.html").exists():
        raise InputError(
            f"{folder}: holds a page (index.html) that lgt export did not write; name another "
            "folder"
        )
    return set()


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()

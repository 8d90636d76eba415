"""ONNX Runtime for browsers: the package `onnxruntime-web` of npm, fetched once and checked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from lgt.errors import InputError
from lgt.files import atomic_write

VERSION = "1.22.0"
_DIGEST = "Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg=="
INTEGRITY = f"sha512-{_DIGEST}"
"""Of the package's archive, as npm writes it into lock files."""

REGISTRY = "https://registry.npmjs.org"
REGISTRY_KEYS = ("npm_config_registry", "NPM_CONFIG_REGISTRY")
"""Environment variables by which npm, too, is told of another registry."""

FILES: Mapping[str, str] = {
    "ort.webgpu.min.mjs": "ort.mjs",
    "ort-wasm-simd-threaded.jsep.mjs": "ort-threads.mjs",
    "ort-wasm-simd-threaded.jsep.wasm": "ort.wasm.gz",
}
"""What of the package's folder `dist` is needed, and its name here; one build for both backends."""

_SECONDS = 60


def library(source: Path | None = None) -> dict[str, bytes]:
    """Return the files of ONNX Runtime by their names here; WebAssembly is packed by gzip.

    Args:
        source: The archive of `npm pack onnxruntime-web@VERSION`, or the folder of the package, as
            in `node_modules`; None: downloaded, or what an earlier call has kept.

    Raises:
        InputError: It can not be had, or is another version than the page was written for.
    """
    if source is None:
        kept = _cache() / f"onnxruntime-web-{VERSION}.tgz"
        if not kept.is_file() or not _is_whole(kept.read_bytes()):
            _keep(kept)
        source = kept
    found = _of_folder(source) if source.is_dir() else _of_archive(source)
    return {
        FILES[name]: gzip.compress(data, 9, mtime=0) if name.endswith(".wasm") else data
        for name, data in found.items()
    }


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("lgt", appauthor=False)


def _keep(path: Path) -> None:
    """Download the archive and check it."""
    registry = next((os.environ[k] for k in REGISTRY_KEYS if os.environ.get(k)), REGISTRY)
    address = f"{registry.rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    if not address.startswith(("https://", "http://")):
        raise InputError(f"{REGISTRY_KEYS[0]} must be an address that starts with https://")
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            data = answer.read()
    except OSError as error:
        raise InputError(
            f"onnxruntime-web {VERSION} could not be downloaded ({error}); get it elsewhere with "
            f"`npm pack onnxruntime-web@{VERSION}` and name the file by --runtime"
        ) from error
    if not _is_whole(data):
        raise InputError(
            f"onnxruntime-web {VERSION}: the downloaded archive ({len(data)} bytes) is not the one "
            "that this version of lgt knows; nothing was written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _is_whole(data: bytes) -> bool:
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    return f"sha512-{digest}" == INTEGRITY


def _of_archive(path: Path) -> dict[str, bytes]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror})") from error
    if not _is_whole(data):
        raise InputError(
            f"{path}: not the archive of onnxruntime-web {VERSION} (its SHA-512 is another); get "
            f"it with `npm pack onnxruntime-web@{VERSION}`"
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {name: archive.extractfile(f"package/dist/{name}") for name in FILES}
        return {name: member.read() for name, member in members.items() if member is not None}


def _of_folder(folder: Path) -> dict[str, bytes]:
    from lgt.damage import read_json

    description = folder / "package.json"
    if not description.is_file():
        raise InputError(
            f"{folder}: no package.json; name the folder of the package, such as "
            "node_modules/onnxruntime-web"
        )
    content = read_json(description.read_text(encoding="utf-8"))
    if (content.get("name"), content.get("version")) != ("onnxruntime-web", VERSION):
        raise InputError(
            f"{folder}: {content.get('name')} {content.get('version')}, and the page needs "
            f"onnxruntime-web {VERSION}"
        )
    missing = [name for name in FILES if not (folder / "dist" / name).is_file()]
    if missing:
        raise InputError(f"{folder}: dist lacks {', '.join(missing)}; install the package again")
    return {name: (folder / "dist" / name).read_bytes() for name in FILES}

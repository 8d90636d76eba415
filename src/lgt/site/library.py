"""ONNX Runtime for browsers: files of npm's package `onnxruntime-web`, fetched once, checked."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lgt.errors import InputError
from lgt.files import atomic_write

VERSION = "1.22.0"

HOST = "https://cdn.jsdelivr.net/npm"
"""Serves the files of npm's packages one by one."""


class Part(NamedTuple):
    """One file."""

    name: str
    """Its name in the folder for browsers."""
    sha256: str


FILES: Mapping[str, Part] = {
    "ort.webgpu.min.mjs": Part(
        "ort.mjs", "e131e81c9324807e1e6f9103e8f8e936112827dcc9993cde9407a333b1f07ae0"
    ),
    "ort-wasm-simd-threaded.jsep.mjs": Part(
        "ort-threads.mjs", "1cbcba8f2c769c1eecbab66a1b1e55ef11704515bf4306373e3db3c37cf6dcd8"
    ),
    "ort-wasm-simd-threaded.jsep.wasm": Part(
        "ort.wasm.gz", "b45970d0632383a057c27ca5b660b216f8e00c17cf8db9f6207b5e4abc839368"
    ),
}
"""What of the package's folder `dist` is needed; one build for both backends."""

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
        found = {name: _kept(name) for name in FILES}
    else:
        found = _of_folder(source) if source.is_dir() else _of_archive(source)
        for name, data in found.items():
            if not _is_known(name, data):
                raise InputError(
                    f"{source}: {name} is not that of onnxruntime-web {VERSION} (its SHA-256 is "
                    f"another); get it with `npm pack onnxruntime-web@{VERSION}`"
                )
    return {
        FILES[name].name: gzip.compress(data, 9, mtime=0) if name.endswith(".wasm") else data
        for name, data in found.items()
    }


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("lgt", appauthor=False)


def _kept(name: str) -> bytes:
    """Return a file from the cache, where it is downloaded to first if need be."""
    path = _cache() / f"onnxruntime-web-{VERSION}" / name
    if path.is_file() and _is_known(name, data := path.read_bytes()):
        return data
    address = f"{HOST}/onnxruntime-web@{VERSION}/dist/{name}"
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            data = bytes(answer.read())
    except OSError as error:
        raise InputError(
            f"onnxruntime-web {VERSION} could not be downloaded ({error}); get it elsewhere with "
            f"`npm pack onnxruntime-web@{VERSION}` and name the file by --runtime"
        ) from error
    if not _is_known(name, data):
        raise InputError(
            f"onnxruntime-web {VERSION}: the downloaded {name} ({len(data)} bytes) is not the one "
            "that this version of lgt knows; nothing was written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return data


def _is_known(name: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == FILES[name].sha256


def _of_archive(path: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(path) as archive:
            members = {name: archive.extractfile(f"package/dist/{name}") for name in FILES}
            return {name: member.read() for name, member in members.items() if member is not None}
    except OSError as error:
        raise InputError(f"{path}: can not be read ({error.strerror or error})") from error
    except (tarfile.TarError, KeyError, EOFError, ValueError) as error:
        raise InputError(
            f"{path}: not the archive of onnxruntime-web {VERSION} ({error}); get it with "
            f"`npm pack onnxruntime-web@{VERSION}`"
        ) from error


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

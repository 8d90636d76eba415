"""Autoencoders from the Hugging Face hub: the local cache first, and no long waits."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgt.codec.diffusers_codecs import from_folder, require_diffusers
from lgt.codec.spec import CodecSourceError
from lgt.errors import CodecError

if TYPE_CHECKING:
    from lgt.codec.spec import LatentCodec

_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

REACH_TIMEOUT = 5.0
"""Seconds to wait for a first answer of the hub."""


def load_hub(hub_id: str) -> LatentCodec:
    """Load the autoencoder of a hub repository, or of its sub-folder `vae`.

    What is in the local cache is used without asking the network.

    Raises:
        CodecError: It is neither cached nor to be had; at once if the hub can not be reached.
    """
    require_diffusers(hub_id)
    folder, _ = _fetch(hub_id, local_files_only=True)
    if folder is None:
        if _settings().HF_HUB_OFFLINE:
            raise CodecError(
                f"codec '{hub_id}': not in the local cache, and HF_HUB_OFFLINE is set; unset it, "
                "or give a local folder"
            )
        _check_reachable(hub_id)
        folder, problem = _fetch(hub_id, local_files_only=False)
        if folder is None:
            raise CodecSourceError(
                f"codec '{hub_id}': the hub has no such repository, or it holds no autoencoder "
                "(config.json and diffusion_pytorch_model.safetensors, also in vae/), or it needs "
                f"a login (`hf auth login`): {problem}"
            )
    class_name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
    return from_folder(class_name, folder, hub_id, hub_id)


def is_cached(hub_id: str) -> bool:
    """Tell whether :func:`load_hub` needs no network; none is asked."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        return False
    return _fetch(hub_id, local_files_only=True)[0] is not None


def _fetch(hub_id: str, *, local_files_only: bool) -> tuple[Path | None, str]:
    """Return the local folder that holds config and weights, or None and what went wrong."""
    from huggingface_hub import hf_hub_download

    def fetch(subfolder: str | None, name: str) -> Path:
        path = hf_hub_download(
            hub_id,
            name,
            subfolder=subfolder,
            local_files_only=local_files_only,
            etag_timeout=REACH_TIMEOUT,
        )
        return Path(path)

    problem = ""
    for subfolder in (None, "vae"):
        for weights in _WEIGHTS:
            # Absent, private, offline: each release of the client has its own exceptions.
            try:
                config = fetch(subfolder, "config.json")
                if "_class_name" not in json.loads(config.read_text(encoding="utf-8")):
                    break
                fetch(subfolder, weights)
                return config.parent, ""
            except Exception as error:
                problem = problem or _first_line(error)
    return None, problem or "config.json names no model class"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _check_reachable(hub_id: str) -> None:
    """Ask the hub for a first byte, with a hard limit: name look-ups alone can hang for long."""
    endpoint = str(_settings().ENDPOINT).rstrip("/")
    problem: list[str] = ["no answer"]

    def ask() -> None:
        request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "lgt"})
        try:
            urllib.request.urlopen(request, timeout=REACH_TIMEOUT).close()
        except urllib.error.HTTPError:
            pass  # it answered
        except Exception as error:  # whatever goes wrong here means: not reachable
            problem[0] = str(getattr(error, "reason", error))
            return
        problem.clear()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_TIMEOUT)
    if problem:
        raise CodecError(
            f"codec '{hub_id}': not in the local cache, and {endpoint} can not be reached "
            f"({problem[0]}); connect to the network once, or give a local folder, or use "
            "'embedded'"
        )


def _settings() -> Any:
    """Return what the hub's own client reads from HF_ENDPOINT, HF_HUB_OFFLINE and so on."""
    from huggingface_hub import constants

    return constants

"""Damage files of every kind that LGT reads, at random, and see that each ends in one sentence.

    python scripts/fuzz.py --count 3000 --seed 7

prints each input that gave anything else, and keeps it in --keep. Only files that a stranger may
send: models, style files, manifests, latents, records in pictures, configurations.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lgt.codec import DCTCodec
from lgt.config import Config, load_config
from lgt.data.store import LatentEntry, Manifest, load_latent, save_latent
from lgt.errors import LGTError
from lgt.image import save_image
from lgt.model.checkpoint import Checkpoint
from lgt.model.style_file import AddedStyle
from lgt.paint.provenance import CodecRecord, FileRecord, Provenance, read_provenance
from lgt.paint.recipe import recipe_of
from lgt.runtime.weights import read_model

SECONDS = 10.0
"""Longest time for one input."""
ODD: list[Any] = [None, True, -1, 0, 2**63, 10**400, 1e308, -0.0, "", "../x", "/etc", "C:x", "a\0b"]
ODD += [[], {}, [[]], {"a": []}, "\x1b[2J", "\ud800", "dct:99999999", "x" * 5000]


def mutated_json(text: str, chance: random.Random) -> str:
    """Return JSON with one value, key or stretch of text replaced."""
    if chance.random() < 0.3:
        at = chance.randrange(len(text))
        odd = ["NaN", "Infinity", "[" * 5000, '{"a":' * 3000, "9" * 5000, "", "}", ","]
        return text[:at] + chance.choice(odd) + text[at + chance.randrange(12) :]
    value = json.loads(text)
    place = value
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        if chance.random() < 0.4 or not isinstance(place[key], (dict, list)) or not place[key]:
            if isinstance(place, dict) and chance.random() < 0.25:
                place[str(chance.choice(ODD))] = place.pop(key)
            else:
                place[key] = chance.choice(ODD)
            break
        place = place[key]
    return json.dumps(value)


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """Return bytes of which some are changed, or that are cut."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content[: chance.randrange(len(content))] if chance.random() < 0.2 else content)


def cases(folder: Path) -> dict[str, tuple[bytes, bool, Callable[[Path], object]]]:
    """Return a whole file of each kind, whether it is JSON, and what reads it."""
    codec = DCTCodec(4).spec
    entry = LatentEntry("monet/a.jpg", "0" * 64, num_bytes=9)
    Manifest(codec, 64, files={"monet/a.pt": entry}).save(folder)
    save_latent(torch.zeros(4, 8, 8), folder / "l.pt")
    AddedStyle("rain", np.zeros(8, np.float32), "0" * 64, 3).save(folder / "s.safetensors")
    tiny = Config.model_validate({"model": {"base_channels": 8, "style_dim": 8, "time_dim": 8}})
    weights = {"w": torch.zeros(3, 3)}
    Checkpoint(tiny, ("a", "b"), codec, (4, 8, 8), 5, weights).save(folder / "c.pt")
    record = FileRecord(name="a.jpg", sha256="0" * 16)
    made = Provenance(
        lgt="0", model=record, codec=CodecRecord(name="dct"), device="cpu", input=record, seed=1,
        style={"monet": 1.0}, settings={"strength": 0.5, "inference.num_steps": 2},
        added_styles={"monet": record},
    )  # fmt: skip
    picture = folder / "p.png"

    def provenance(path: Path) -> None:
        save_image(Image.new("RGB", (8, 8)), picture, text=path.read_text(errors="replace"))
        found = read_provenance(picture)
        if found is not None:
            list(found.lines())
            recipe_of(found, lambda _: None)  # type: ignore[arg-type, return-value]

    def manifest(path: Path) -> None:
        path.rename(folder / "manifest.json")
        Manifest.load(folder)

    def style(path: Path) -> None:
        AddedStyle.load(path).picture()

    text = made.to_json().encode()
    return {
        "manifest": ((folder / "manifest.json").read_bytes(), True, manifest),
        "provenance": (text, True, provenance),
        "config": (json.dumps(tiny.model_dump(mode="json")).encode(), True, load_config),
        "latent": ((folder / "l.pt").read_bytes(), False, load_latent),
        "style": ((folder / "s.safetensors").read_bytes(), False, style),
        "checkpoint": ((folder / "c.pt").read_bytes(), False, Checkpoint.load),
        "packed": ((folder / "s.safetensors").read_bytes(), False, read_model),
    }


def run(count: int, seed: int, keep: Path | None = None) -> list[str]:
    """Read `count` damaged files of each kind; return what went wrong."""
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, (whole, is_json, read) in cases(folder).items():
            for number in range(count):
                chance = random.Random(f"{kind} {seed} {number}")
                if is_json:
                    text = mutated_json(whole.decode(), chance)
                    data = text.encode("utf-8", "surrogatepass")
                else:
                    data = mutated_bytes(whole, chance)
                path = folder / f"fuzz_{kind}"
                path.write_bytes(data)
                began, problem = time.perf_counter(), None
                try:
                    read(path)
                except LGTError as error:
                    if not str(error):
                        problem = "an error without a word"
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"[:200]
                if time.perf_counter() - began > SECONDS:
                    problem = "too slow"
                if problem is not None:
                    problems.append(f"{kind} seed {seed} number {number}: {problem}")
                    if keep is not None:
                        (keep / f"{kind}_{seed}_{number}").write_bytes(data)
    return problems


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that gave a traceback")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    problems = run(options.count, options.seed, options.keep)
    print("\n".join([*problems, f"{len(problems)} problem(s)"]))
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()

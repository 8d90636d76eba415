"""Measure what a plan for many pictures is made of, and how Ray and shards hold up.

    python benchmarks/scale.py formats | memory | ray | picture

prints JSON lines:

- `formats`: processor time of writing a latent and of reading one at random, and bytes, of the
  formats that are installed (`pip install datasets webdataset` for all).
- `memory`: peak memory of a process that draws batches and works, as training does, from 10,000
  and from 1,000,000 generated latents in shards, and processor time of a step's draws.
- `ray`: wall-clock and processor seconds of `lgt preprocess` on one process, and on Ray with one
  and two processes that compute. Wall-clock ratios mean something on an idle machine alone;
  processor seconds count all processes of Ray.
- `picture`: processor seconds and bytes of one picture: read, encoded, painted, stored.

Not for Windows; `ray` counts all processes on Linux alone.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from measuring import BYTES_OF_MAXRSS, machine

SHAPE = (4, 8, 8)
"""Of the generated latents: 1 KiB each."""
SHARD = 1024
STEPS = 100
"""Batches that are drawn."""
READ = 4000
"""Latents that are read at random."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("formats", "memory", "ray", "picture"))
    parser.add_argument("--count", type=int, help="Latents, or pictures.")
    chosen = parser.parse_args()
    lines = {"formats": formats, "memory": memory, "ray": ray, "picture": picture}[chosen.what]
    with tempfile.TemporaryDirectory() as folder:
        for line in lines(Path(folder), chosen.count):
            print(json.dumps({"benchmark": f"scale_{chosen.what}", **line}), flush=True)
    print(json.dumps({"benchmark": "machine", **machine(1)}))


def formats(folder: Path, count: int | None) -> Iterator[dict[str, Any]]:
    latents = np.random.default_rng(0).standard_normal((count or 20000, *SHAPE), dtype=np.float32)
    rows = np.random.default_rng(1).integers(0, len(latents), READ).tolist()
    ways: dict[str, tuple[tuple[str, ...], Callable[..., Callable[[int], Any]]]] = {
        "safetensors": ((), _safetensors),
        "arrow": (("pyarrow",), _arrow),
        "datasets": (("datasets",), _datasets),
        "webdataset": (("webdataset",), _webdataset),
        "pt": ((), _pt),
    }
    for name, (modules, write) in ways.items():
        if not all(map(importlib.util.find_spec, modules)):
            continue
        part = latents[:2000] if name == "pt" else latents
        began = time.process_time()
        read = write(folder / name, part)
        middle = time.process_time()
        for row in rows:
            found = read(row % len(part))
            if not np.array_equal(found, part[row % len(part)]):
                raise SystemExit(f"{name}: reads another latent")
        ended = time.process_time()
        stored = sum(path.stat().st_size for path in (folder / name).rglob("*") if path.is_file())
        yield {
            "format": name,
            "write_us": round((middle - began) / len(part) * 1e6, 1),
            "read_us": round((ended - middle) / READ * 1e6, 1),
            "bytes": round(stored / len(part)),
            "is_random": name != "webdataset",
        }


def _parts(latents: Any) -> Iterator[tuple[int, Any]]:
    return ((n // SHARD, latents[n : n + SHARD]) for n in range(0, len(latents), SHARD))


def _safetensors(folder: Path, latents: Any) -> Callable[[int], Any]:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    folder.mkdir()
    for number, part in _parts(latents):
        save_file({"latents": part}, folder / f"{number}")

    @lru_cache(16)
    def opened(number: int) -> Any:
        return safe_open(folder / f"{number}", "numpy").get_slice("latents")  # type: ignore[no-untyped-call]

    return lambda row: opened(row // SHARD)[row % SHARD]


def _column(part: Any) -> Any:
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(part.reshape(-1)), part[0].size)


def _arrow(folder: Path, latents: Any) -> Callable[[int], Any]:
    import pyarrow

    folder.mkdir()
    for number, part in _parts(latents):
        table = pyarrow.table({"latents": _column(part)})
        with pyarrow.OSFile(str(folder / f"{number}"), "wb") as file:
            writer = pyarrow.ipc.new_file(file, table.schema)
            writer.write_table(table)
            writer.close()

    @lru_cache(16)
    def opened(number: int) -> Any:
        file = pyarrow.ipc.open_file(pyarrow.memory_map(str(folder / f"{number}")))
        return file.read_all().column(0).chunk(0)

    def read(row: int) -> Any:
        found = opened(row // SHARD).slice(row % SHARD, 1).flatten().to_numpy()
        return found.reshape(SHAPE).copy()

    return read


def _datasets(folder: Path, latents: Any) -> Callable[[int], Any]:
    import datasets
    import pyarrow

    tables = [pyarrow.table({"latents": _column(part)}) for _, part in _parts(latents)]
    datasets.disable_progress_bars()
    datasets.Dataset(pyarrow.concat_tables(tables)).save_to_disk(str(folder))
    stored = datasets.load_from_disk(str(folder)).with_format("numpy")
    return lambda row: stored[row]["latents"].reshape(SHAPE)


def _webdataset(folder: Path, latents: Any) -> Callable[[int], Any]:
    """It has no order of one's own choice: what is read is what comes next."""
    import webdataset

    folder.mkdir()
    for number, part in _parts(latents):
        with webdataset.TarWriter(str(folder / f"{number:05d}.tar")) as writer:
            for row, latent in enumerate(part):
                writer.write({"__key__": f"{number * SHARD + row:08d}", "npy": latent})
    paths = sorted(map(str, folder.iterdir()))
    stream = iter(webdataset.WebDataset(paths, shardshuffle=False).decode())

    def read(row: int) -> Any:
        next(stream)
        return latents[row]

    return read


def _pt(folder: Path, latents: Any) -> Callable[[int], Any]:
    import torch

    from lgt.data.store import load_latent, save_latent

    for row, latent in enumerate(latents):
        save_latent(torch.from_numpy(latent), folder / f"{row}.pt")
    return lambda row: load_latent(folder / f"{row}.pt").numpy()


def memory(folder: Path, count: int | None) -> Iterator[dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    for number in (10_000, count or 1_000_000):
        root = folder / str(number)
        generate(root, number)
        # A child of its own each, so that neither meets what the other left.
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            yield {"latents": number, **pool.submit(draws, root).result()}


def generate(root: Path, count: int) -> None:
    """Write noise of two styles into shards."""
    import torch

    from lgt.codec import DCTCodec
    from lgt.data.shards import ShardFolder
    from lgt.data.store import LatentEntry, Manifest

    shards = ShardFolder(root)
    for style in ("photo", "paint"):
        for row in range(SHARD):
            entry = LatentEntry(f"{style}/{row}.png", "0" * 64)
            shards.add(f"{style}/{row}.pt", entry, torch.randn(SHAPE))
    counts = dict(shards.counts)
    for first in tuple(counts):  # The others are copies, but files of their own.
        for number in range(1, count // 2 // SHARD):
            name = f"{Path(first).parent}/shard_{number:05d}.safetensors"
            shutil.copyfile(root / first, root / name)
            counts[name] = SHARD
    Manifest(DCTCodec(SHAPE[0]).spec, 8 * SHAPE[1], shards=counts).save(root)


def draws(root: Path) -> dict[str, Any]:
    """Draw batches and works as a training does; return the peak memory and the time of a step."""
    from lgt.data.dataset import LatentDataset, sample_batch
    from lgt.energy import StyleBank
    from lgt.train.schedule import step_generator

    data = LatentDataset.from_config(root, ("photo", "paint"), SHAPE[0], in_memory="false")
    bank = StyleBank(data.latents, data.style_ids, 2)
    began = time.process_time()
    for step in range(STEPS):
        generator = step_generator(0, step)
        sample_batch(data, 16, [0], generator)
        for style in range(2):
            bank.works(style, 4, generator)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_MAXRSS
    return {"peak_MB": round(peak / 1e6, 1), "cpu_ms_per_step": round(seconds / STEPS * 1e3, 1)}


def ray(folder: Path, count: int | None) -> Iterator[dict[str, Any]]:
    number = count or 2000
    raw = folder / "raw"
    draw(raw, number, 256)
    ways = {
        "plain": (),
        "ray, 1 process": ("--engine", "ray", "--ray_workers", "1"),
        "ray, 2 processes": ("--engine", "ray", "--ray_workers", "2"),
    }
    for name, options in ways.items():
        command = [sys.executable, "-m", "lgt", "preprocess", "--raw_data_root", str(raw)]
        command += ["--output_root", str(folder / name.replace(" ", "_")), *options]
        wall, cpu = measured(command)
        yield {"way": name, "pictures": number, "wall_s": round(wall, 1), "cpu_s": round(cpu, 1)}


def draw(root: Path, count: int, side: int) -> None:
    """Write JPEG photos of one style."""
    root.joinpath("style0").mkdir(parents=True)
    for row in range(count):
        coarse = np.random.default_rng(row).integers(0, 255, (side // 8, side // 8 + 2, 3))
        image = Image.fromarray(coarse.astype(np.uint8)).resize(
            (side + 16, side), Image.Resampling.BICUBIC
        )
        image.save(root / "style0" / f"{row:05d}.jpg", quality=90)


def measured(command: list[str]) -> tuple[float, float]:
    """Return wall-clock seconds of a command, and processor seconds of all that it started."""
    if sys.platform == "linux":  # What loses its parent becomes a child of this process.
        ctypes.CDLL(None).prctl(36, 1)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    wall = time.perf_counter() - began
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def picture(folder: Path, count: int | None) -> Iterator[dict[str, Any]]:
    import torch

    from lgt.codec import load_codec
    from lgt.data.pictures import Decoder
    from lgt.data.shards import ShardFolder
    from lgt.data.sources import plan
    from lgt.data.store import LatentEntry
    from lgt.image import save_image
    from lgt.paint.painter import Painter
    from lgt.paint.picture import read_picture
    from lgt.paint.recipe import Recipe
    from lgt.runtime.open import Wish, open_engine

    torch.set_num_threads(1)
    number = count or 20
    draw(folder / "raw", number, 512)
    paths = sorted((folder / "raw" / "style0").iterdir())
    sources = plan(folder / "raw", [f"style0/{p.name}" for p in paths], num_crops=1, hflip=False)
    codec = load_codec("embedded")
    engine = open_engine(Wish(backend="torch", device="cpu", precision="fp32"))
    painter, recipe = Painter(engine), Recipe(style={"vangogh": 1.0})
    decoder, shards = Decoder(folder, {}, 512), ShardFolder(folder / "latents")
    seconds = dict.fromkeys(("read", "encode", "store", "paint", "write"), 0.0)

    def timed(name: str, do: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = do()
        seconds[name] += time.process_time() - began
        return found

    for row, source in enumerate(sources):
        item = timed("read", partial(decoder.decode, source))
        latent = timed("encode", partial(codec.encode, item.pictures[0][1]))[0]
        entry = LatentEntry(source.name, item.sha256)
        timed("store", partial(shards.add, f"style0/{row}.pt", entry, latent))
        photo = read_picture(source.path).image
        painted = timed("paint", partial(painter.paint, photo, recipe))
        target = folder / f"{row}.png"
        timed("write", partial(save_image, painted, target))
    shards.finish()
    stored = sum(path.stat().st_size for path in (folder / "latents").rglob("*.safetensors"))
    yield {
        "side": 512,
        "pictures": number,
        "cpu_s": {name: round(value / number, 4) for name, value in seconds.items()},
        "bytes": {
            "photo": round(sum(p.stat().st_size for p in paths) / number),
            "latent": round(stored / number),
            "painting": round(sum(p.stat().st_size for p in folder.glob("*.png")) / number),
        },
    }


if __name__ == "__main__":
    main()

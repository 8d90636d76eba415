"""Measure what tiles cost and whether they show: seams, differences, time and memory.

    python benchmarks/tiling.py --sides 1024 2048 4096

prints JSON lines. The first compares tiles with one piece on a synthetic picture (soft shapes and
grain): the largest difference of the codec's latents and decoded pixels, which is rounding; the
relative mean difference of the network's velocity; and its seam, the mean step of that difference
across the borders of tiles over its mean step elsewhere (1: no seam). For comparison, `naive` has
the seam of tiles with their own statistics and no overlap. The other lines, one a side, are whole
`stylize` calls in processes of their own: seconds and the peak resident memory of the process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lgt.codec import scale_latents
from lgt.codec.tiles import TiledCodec, reach
from lgt.image import to_image
from lgt.inference import LGTInference
from lgt.nn import Condition
from lgt.nn.tiles import spans, tiled_velocity
from measuring import machine, peak_memory_mb


def synthetic(height: int, width: int) -> Tensor:
    """Return a picture of soft coloured shapes with grain, `[1, 3, H, W]` in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    result = torch.full((1, 3, height, width), 0.5)
    for cells, gain in ((4, 0.2), (16, 0.12), (64, 0.08)):
        coarse = torch.randn(1, 3, cells, cells, generator=generator)
        result += gain * F.interpolate(coarse, (height, width), mode="bicubic")
    result += 0.03 * torch.randn(result.shape, generator=generator)
    return result.clamp(0, 1)


def step_ratio(error: Tensor, edges: list[int]) -> float:
    """Return the mean step of an error across columns `edges` over its mean step anywhere."""
    steps = error.diff(dim=-1).abs().mean((0, 1, 2))
    return float(steps[[edge - 1 for edge in edges]].mean() / steps.mean())


@torch.no_grad()
def seams(lgt: LGTInference, codec: Any, side: int, tile: int, halo: int) -> dict[str, Any]:
    """Compare tiles of `tile` pixels with one piece on a picture of `side` pixels."""
    image = synthetic(side, side)
    tiled = TiledCodec(codec, tile)
    latent = codec.encode(image)
    encoder = float((tiled.encode(image) - latent).abs().max())
    decoder = float((tiled.decode(latent) - codec.decode(latent)).abs().max())

    network, x = lgt.network, scale_latents(latent, codec.spec)
    x_src = x if network.condition_on_source else None
    condition = network.condition(torch.tensor([lgt.num_styles - 1]), None, x_src)
    t, cells = torch.zeros(1), tile // codec.spec.downscale
    whole = network.velocity(x, t, condition)
    error = tiled_velocity(network, tile=cells, halo=halo)(x, t, condition) - whole
    edges = [high for _, high, *_ in spans(x.shape[-1], cells, halo, 2 ** len(network.downs))][:-1]

    def column(first: int, last: int) -> Tensor:
        part = None if condition.x_src is None else condition.x_src[..., first:last]
        own: Condition = replace(condition, x_src=part)
        return network.velocity(x[..., first:last], t, own)

    borders = [0, *edges, x.shape[-1]]
    naive = torch.cat([column(a, b) for a, b in zip(borders[:-1], borders[1:], strict=True)], -1)
    return {
        "benchmark": "tiling_seams",
        "side": side,
        "tile": tile,
        "codec_reach_latents": reach(codec),
        "encoder_max_difference": encoder,
        "decoder_max_difference_of_255": round(255 * decoder, 4),
        "network_relative_difference": round(float(error.abs().mean() / whole.abs().mean()), 4),
        "network_seam": round(step_ratio(error, edges), 3),
        "naive_seam": round(step_ratio(naive - whole, edges), 3),
    }


def whole_call(side: int, tile: int | None, canvas: int | None, model: str) -> dict[str, Any]:
    """Return seconds and peak memory of one `stylize` call in this process."""
    lgt = LGTInference(model, "cpu")
    codec, image = lgt.load_codec(), to_image(synthetic(side, side))
    began = time.perf_counter()
    style = lgt.painted_styles[0]
    result = lgt.stylize(image, style, codec=codec, seed=0, tile=tile, canvas=canvas)
    seconds = time.perf_counter() - began
    if result.size != image.size:
        raise SystemExit(f"the result has {result.size} pixels, the picture {image.size}")
    return {
        "benchmark": "tiling_memory",
        "side": side,
        "tile": "auto" if tile is None else tile,
        "canvas": "auto" if canvas is None else canvas,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak_memory_mb()),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=[1024, 2048, 4096])
    parser.add_argument("--tile", type=int, help="pixels; 0: never [auto]")
    parser.add_argument("--canvas", default="0", help="auto, or pixels; 0: the picture's own [0]")
    parser.add_argument("--model", default="embedded", help="[embedded]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--seam_side", type=int, default=1536, help="picture of the seam [1536]")
    parser.add_argument("--seam_tile", type=int, default=512, help="its tiles; 0: leave out [512]")
    parser.add_argument("--halo", type=int, default=32, help="of the network, in latents [32]")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shared = machine(args.threads)
    canvas = None if args.canvas == "auto" else int(args.canvas)
    if args.one:
        print(json.dumps(whole_call(args.sides[0], args.tile, canvas, args.model) | shared))
        return
    if args.seam_tile:
        lgt = LGTInference(args.model, "cpu")
        found = seams(lgt, lgt.load_codec(), args.seam_side, args.seam_tile, args.halo)
        print(json.dumps(found | shared), flush=True)
        del lgt
    for side in args.sides:
        command = [sys.executable, __file__, "--one", "--sides", str(side), "--model", args.model]
        command += ["--threads", str(args.threads), "--canvas", args.canvas]
        command += [] if args.tile is None else ["--tile", str(args.tile)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    main()

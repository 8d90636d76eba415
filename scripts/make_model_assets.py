"""Make the shipped model's files from a checkpoint: weights, pictures, and the card's facts.

    python scripts/make_model_assets.py checkpoints/latest.pt --report evaluation/report.json

Writes `model.safetensors`, `config.json` (the configuration that made it, for `lgt train`),
`source.jpg`, a thumbnail of each style, and the marked parts of `README.md`. Measured quality comes
from the JSON of `lgt evaluate`; without it the card says that nothing was measured, since numbers
of an earlier model would be wrong. The sample picture is scikit-image's `coffee` (extra `demo`).
"""

from __future__ import annotations

import argparse
import json
import re
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from lgt.image import open_image
from lgt.inference import LGTInference
from lgt.metrics.report import COLUMNS
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import portable_config, write_release
from lgt.model.shipped import MODEL_FOLDER, MODEL_NAME, PICTURES, SOURCE_NAME

MAX_MODEL_BYTES = 22_000_000
MAX_PICTURE_BYTES = 15_000
SAMPLE = "coffee.png"
SIZE = (384, 256)
"""Of the sample picture as it is shown, in pixels; it is painted at its own."""
UNMEASURED = "Not measured yet: no report of `lgt evaluate` was given when these files were made."


def sample_picture() -> Image.Image:
    """Return the photograph that all thumbnails are made of."""
    with files("skimage.data").joinpath(SAMPLE).open("rb") as stream:
        return open_image(BytesIO(stream.read()))


def save_small(picture: Image.Image, path: Path) -> None:
    """Write a JPEG of `SIZE` at the best quality that fits into a thumbnail's bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = picture.resize(SIZE, Image.Resampling.LANCZOS)
    for quality in range(92, 20, -3):
        stream = BytesIO()
        picture.save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() <= MAX_PICTURE_BYTES:
            break
    path.write_bytes(stream.getvalue())


def facts(checkpoint: Checkpoint, size: int, cost: str) -> str:
    """Return the card's table of what the file says about itself."""
    training = checkpoint.config.training
    count = sum(weight.numel() for weight in checkpoint.inference_weights.values())
    channels, height, width = checkpoint.latent_shape
    codec = "unknown" if checkpoint.codec is None else checkpoint.codec.name
    rows = {
        "Styles": ", ".join(checkpoint.style_names),
        "Weights": f"{count / 1e6:.2f} million, float16; the file has {size / 1e6:.2f} MB",
        "Latents": f"{channels} x {height} x {width} in training, of the codec `{codec}`",
        "Training": f"{checkpoint.step} steps of {training.batch_size} sources",
        "Cost of training": cost,
        "Network evaluations a picture": str(_evaluations(checkpoint)),
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in rows.items())])


def _evaluations(checkpoint: Checkpoint) -> int:
    settings = checkpoint.config.inference
    is_guided = settings.use_cfg and settings.cfg_scale != 1
    return settings.num_steps * (2 if is_guided else 1)


def quality(report: dict[str, Any]) -> str:
    """Return the tables of a report, and those of its windows where it has some."""
    found = _tables(report)
    if "windows" not in report:
        return found
    parts = [f"{part['heading']}:\n\n{_tables(part)}" for part in (report, report["windows"])]
    return "\n\n".join(parts)


def _tables(report: dict[str, Any]) -> str:
    """Return means of all rows, then the results style by style."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "| --- |" + " ---: |" * len(COLUMNS)]
    for row in report["rows"]:
        lines.append(f"| {row['name']} | {_cells(row['mean'])} |")
    for row in report["rows"]:
        if row["kind"] != "control":
            lines += ["", f"{row['name']}, style by style:", "", *lines[:2]]
            lines += [f"| {style} | {_cells(values)} |" for style, values in row["styles"].items()]
    return "\n".join(lines)


def _cells(values: dict[str, float]) -> str:
    return " | ".join(f"{values[name]:.2f}" for name in COLUMNS)


def fill(text: str, part: str, content: str) -> str:
    """Replace what stands between the marks of a part."""
    marks = re.compile(rf"(<!-- {part}: begin -->\n).*?(\n<!-- {part}: end -->)", re.DOTALL)
    filled, count = marks.subn(lambda match: match[1] + content + match[2], text)
    if count != 1:
        raise SystemExit(f"README.md of the model: expected one part '{part}', found {count}")
    return filled


def make_assets(checkpoint_path: Path, folder: Path, report: Path | None, cost: str) -> None:
    """Write all files of the model."""
    checkpoint = Checkpoint.load(checkpoint_path)
    model = folder / MODEL_NAME
    temporary = folder / f"new-{MODEL_NAME}"
    write_release(checkpoint, temporary)
    size = temporary.stat().st_size
    if size > MAX_MODEL_BYTES:
        temporary.unlink()
        raise SystemExit(
            f"{size / 1e6:.1f} MB is more than the {MAX_MODEL_BYTES / 1e6:.0f} MB that the package "
            "may ship; train a smaller network (model.base_channels)"
        )
    temporary.replace(model)
    lgt = LGTInference(model, "cpu")
    config = portable_config(lgt.config, lgt.codec_spec)
    config["model"]["num_corrector_blocks"] = 0  # It is taught when the training is over.
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    picture = sample_picture()
    save_small(picture, folder / SOURCE_NAME)
    codec = lgt.load_codec()
    for old in (folder / PICTURES).glob("*.jpg"):
        old.unlink()
    for name in lgt.style_names:
        painted = lgt.stylize(picture, name, codec=codec, seed=0)
        save_small(painted, folder / PICTURES / f"{name}.jpg")
    numbers = UNMEASURED if report is None else quality(json.loads(report.read_text("utf-8")))
    card = folder / "README.md"
    text = fill(card.read_text(encoding="utf-8"), "facts", facts(checkpoint, size, cost))
    card.write_text(fill(text, "quality", numbers), encoding="utf-8")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        print(f"{path.stat().st_size:9} {path}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--report", type=Path, help="report.json of `lgt evaluate` on this model")
    parser.add_argument("--cost", default="not recorded", help="time and machine of the training")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="holds the card already")
    args = parser.parse_args()
    make_assets(args.checkpoint, args.out, args.report, args.cost)


if __name__ == "__main__":
    main()

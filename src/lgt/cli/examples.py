"""Examples at the end of each command's help; the tests read every one with its command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "preprocess": (
        "lgt preprocess --raw_data_root images --output_root data/latents",
        "lgt preprocess --raw_data_root images --output_root data/latents --num_crops 2 --hflip",
    ),
    "train": (
        "lgt train",
        "lgt train --set training.batch_size=8 --set loss.w_style=2",
        "lgt train --resume",
    ),
    "memory": ("lgt memory --size 256 --device-memory 8GB",),
    "report": ("lgt report checkpoints",),
    "transfer": (
        "lgt transfer photo.jpg out.jpg --style vangogh",
        "lgt transfer photo.jpg pictures/ --style all",
        "lgt transfer photo.jpg out.png --blend vangogh:0.6,monet:0.4 --strength 0.7",
        "lgt transfer photo.jpg out.png --style durer --mask sky.png --invert_mask",
        "lgt transfer photo.jpg out.png --region sky.png:monet --style ukiyoe",
        "lgt transfer trip/ painted/ --style monet,ukiyoe --recursive",
        "lgt transfer clip.mp4 out.mp4 --style watercolor",
        "lgt transfer - - --style vangogh < photo.jpg > out.png",
    ),
    "inspect": (
        "lgt inspect out.png",
        "lgt inspect out.png --replay again.png --input photo.jpg",
    ),
    "styles": ("lgt styles", "lgt styles --out sheet.png"),
    "add-style": (
        "lgt add-style mine works/ --photos photos/",
        "lgt add-style mine works/ --photos photos/ --minutes 3 --out mine.safetensors",
    ),
    "polish": (
        "lgt polish checkpoints/latest.pt polished.pt --photos images/photo",
        "lgt polish model.safetensors out.pt --photos images/photo --styles ink,oil --content 1.5",
    ),
    "pack": ("lgt pack checkpoints/latest.pt model.safetensors",),
    "export": ("lgt export vangogh.onnx --style vangogh", "lgt export --web site"),
    "evaluate": (
        "lgt evaluate embedded --photos photos --styles unseen --train_styles seen --out report",
        "lgt evaluate mine=checkpoints/latest.pt --photos photos --styles unseen --out report",
    ),
    "serve": ("lgt serve", "lgt serve --port 8080 --open"),
    "doctor": ("lgt doctor", "lgt doctor --json"),
}
"""Command -> lines as a user types them."""

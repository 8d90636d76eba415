"""README and docs can not lie: every fenced block runs, loads, or says why it does not.

The shell and Python blocks of a page run in order, in one folder with a few images, a tiny
configuration and the entry scripts, as a reader would type them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from limits import HANG
from PIL import Image

from lgt.config import parse_config
from lgt.config.reference import all_keys
from lgt.model.shipped import MODEL_FOLDER

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = tuple(f"gallery_{name}.jpg" for name in ("astronaut", "chelsea", "coffee", "rocket"))
BLOCK = re.compile(
    r"(?:<!-- test: skip because (?P<reason>[^>]+?) -->\s*\n)?"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TINY = [
    "model.base_channels=8",
    "model.style_dim=8",
    "model.time_dim=8",
    "model.num_encoder_blocks=1",
    "model.num_decoder_blocks=1",
    "loss.num_projections=4",
    "loss.max_samples=64",
    "loss.max_positions=64",
    "loss.bank_works=2",
    "loss.perceptual_network=none",
    "training.batch_size=2",
    "training.steps_per_epoch=1",
    "training.ode_integration_steps=1",
    "training.mixed_precision=no",
    "training.collapse_threshold=0",
    "inference.num_steps=1",
    "checkpoint.save_every=50",
    "checkpoint.num_samples=1",
]


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    reason: str | None
    line: int


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(m["language"], m["code"], m["reason"], text[: m.start()].count("\n") + 1)
        for m in BLOCK.finditer(text)
    ]
    assert len(found) == len(re.findall(r"^```", text, re.MULTILINE)) // 2, f"{page}: odd fences"
    return found


def runnable(page: Path) -> list[Block]:
    return [b for b in blocks_of(page) if b.language in {"bash", "python"} and b.reason is None]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a folder like a reader's: images, a video, config.json, the entry scripts."""
    folder = tmp_path
    rng = np.random.default_rng(0)
    for style in ("style0", "style1"):
        (folder / "images" / style).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((264, 200), Image.Resampling.BICUBIC)
            image.save(folder / "images" / style / f"img{index:03d}.jpg")
    shutil.copy(folder / "images" / "style0" / "img000.jpg", folder / "input.jpg")
    shutil.copytree(folder / "images" / "style0", folder / "photos")
    write_clip(folder / "clip.mp4", scene(5, 64, 48), audio="aac")
    for script in ("preprocess_latents.py", "train.py", "inference.py"):
        if (ROOT / script).exists():
            shutil.copy(ROOT / script, folder)
    values: dict[str, dict[str, object]] = {}
    for item in TINY:
        name, _, value = item.partition("=")
        section, _, key = name.partition(".")
        values.setdefault(section, {})[key] = json.loads(value) if value[0].isdigit() else value
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def run(block: Block, folder: Path, commands: Path) -> subprocess.CompletedProcess[str]:
    command = (
        ["bash", "-euo", "pipefail", "-c", block.code]
        if block.language == "bash"
        else [str(commands / "python"), "-c", block.code]
    )
    environment = os.environ | {
        "PATH": os.pathsep.join(
            [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=HANG
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_snippets_run(page: Path, workspace: Path, commands: Path) -> None:
    for block in runnable(page):
        result = run(block, workspace, commands)
        assert result.returncode == 0, (
            f"{page.name}:{block.line} ended with {result.returncode}\n{block.code}\n"
            f"{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
        )


def test_the_readme_is_short_and_opens_with_a_picture() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    assert text.index("docs/pictures/first.jpg") < text.index("## Install")


def test_the_gallery_shows_every_style_and_is_small() -> None:
    """Made anew by `make gallery` where the shipped model is another."""
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    content = json.loads((MODEL_FOLDER / "config.json").read_text(encoding="utf-8"))
    styles = set(content["data"]["style_subdirs"]) - {*content["data"]["source_subdirs"], "photo"}
    listed = re.search(r"^Styles: ([^`]+?)\.\s", page, re.MULTILINE)
    assert listed is not None
    assert set(listed[1].replace("\n", " ").split(", ")) == styles, "run `make gallery`"
    pictures = [ROOT / "docs" / "pictures" / name for name in ("first.jpg", *SHOWN)]
    assert sum(path.stat().st_size for path in pictures) < 3e6


def test_the_readme_runs_something() -> None:
    blocks = blocks_of(PAGES[0])
    assert len([block for block in blocks if block.language == "bash"]) >= 2
    assert len(runnable(PAGES[0])) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_name_their_language_and_skips_their_reason(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in {"bash", "python", "json", "text"}, f"{page.name}:{block.line}"
        if block.reason is not None:
            assert len(block.reason.split()) >= 3, f"{page.name}:{block.line}: say why"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configuration_snippets_load(page: Path) -> None:
    for block in blocks_of(page):
        if block.language == "json":
            parse_config(block.code, source_name=f"{page.name}:{block.line}")


def test_tables_give_the_defaults() -> None:
    defaults = {key.dotted: key.default_json for key in all_keys()}
    row = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \| `([^`]*)` \|", re.MULTILINE)
    rows = row.findall((ROOT / "docs" / "own-model.md").read_text(encoding="utf-8"))
    assert len(rows) >= 10
    for name, value in rows:
        assert defaults.get(name) == value, f"own-model.md: {name} = {value}; run `make docs`"


def test_generated_pages_are_fresh() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "make_config_docs.py"), "--check"]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 0, f"{result.stdout}run `make docs`"


def test_links_between_pages_resolve() -> None:
    checked = 0
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
            checked += 1
    assert checked >= 3

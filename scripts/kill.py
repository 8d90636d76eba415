"""Kill long commands at random moments, start them again, and see that nothing is lost.

    python scripts/kill.py --kills 100 --seed 7

runs `lgt preprocess`, `lgt train` and `lgt transfer` of a folder, each in small: killed (SIGKILL)
again and again on the way, the same command has to end with what an undisturbed run made, to the
bit; what stands there after a kill has to be whole, and no temporary file may outlive the end. Not
for Windows: processes are forked, so that PyTorch is imported once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lgt.cli.app import main as lgt
from lgt.data.store import load_latent
from lgt.model.checkpoint import Checkpoint

TINY = {
    "model": {"base_channels": 8, "style_dim": 8, "time_dim": 8, "num_encoder_blocks": 1}
    | {"num_decoder_blocks": 1},
    "loss": {"num_projections": 4, "max_samples": 16, "perceptual_network": "none"},
    "training": {"batch_size": 2, "steps_per_epoch": 3, "num_epochs": 12, "mixed_precision": "no"}
    | {"ode_integration_steps": 1, "collapse_threshold": 0},
    "checkpoint": {"save_every": 1, "keep_last": 3, "num_samples": 1, "save_dir": "run"},
    "data": {"style_subdirs": ["a", "b"], "data_root": "latents"},
}
LATENTS = "preprocess --raw_data_root pictures --output_root latents --target_size 64"
TRAINING = "train --config config.json --device cpu"
PAINTING = "transfer pictures/a painted --style monet --canvas 32"


def draw(folder: Path) -> None:
    """Write pictures of two styles, and the configuration."""
    rng = np.random.default_rng(0)
    for style in "ab":
        (folder / "pictures" / style).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (72, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / style / f"{number}.png")
    (folder / "config.json").write_text(json.dumps(TINY))


def latents(folder: Path) -> dict[str, bytes]:
    """Return all latents, which are whole."""
    files = sorted((folder / "latents").rglob("*.pt"))
    return {str(f.relative_to(folder)): load_latent(f).numpy().tobytes() for f in files}


def weights(folder: Path) -> dict[str, bytes]:
    """Return the newest weights; all checkpoints are whole."""
    found = [Checkpoint.load(path) for path in sorted((folder / "run").glob("*.pt"))]
    if not found:
        return {}
    newest = max(found, key=lambda checkpoint: checkpoint.step)
    return {name: value.numpy().tobytes() for name, value in newest.network.items()}


def paintings(folder: Path) -> dict[str, bytes]:
    """Return all paintings, which are whole."""
    files = sorted((folder / "painted").rglob("*.png"))
    return {str(f.relative_to(folder)): Image.open(f).tobytes() for f in files}


def command(folder: Path, words: str) -> list[str]:
    """Return what goes on, or begins."""
    is_begun = words == TRAINING and list((folder / "run").glob("*.pt"))
    return [*words.split(), "--resume"] if is_begun else words.split()


def run(folder: Path, words: str, seconds: float | None) -> int:
    """Run a command in a process of its own; kill it after a time. Return how it ended."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            torch.set_num_threads(1)
            os.chdir(folder)
            log = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["lgt", *command(folder, words)]
            lgt()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    until = time.monotonic() + (1e9 if seconds is None else seconds)
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def torment(
    words: str, made: Callable[[Path], dict[str, bytes]], kills: int, chance: random.Random
) -> list[str]:
    """Kill one command `kills` times on its way; return what went wrong."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        draw(whole)
        if words == TRAINING and run(whole, LATENTS, None):
            return ["the latents were not made"]
        began = time.monotonic()
        if run(whole, words, None):
            return [f"{words}: undisturbed, it failed: {(whole / 'log').read_text()[-300:]}"]
        seconds, wanted = time.monotonic() - began, made(whole)
        done = round_ = 0
        while done < kills:
            folder = Path(name) / f"killed{round_}"
            draw(folder)
            if words == TRAINING:
                run(folder, LATENTS, None)
            round_ += 1
            found: dict[str, bytes] = {}
            code, most = -signal.SIGKILL, done + chance.randint(1, 8)
            while code == -signal.SIGKILL:
                is_last = done >= min(most, kills)
                code = run(folder, words, None if is_last else chance.uniform(0, seconds))
                done += code == -signal.SIGKILL
                try:
                    found = made(folder)
                except Exception as error:
                    problems.append(f"{words}: after a kill: {type(error).__name__}: {error}")
            if code:
                problems.append(
                    f"{words}: ended with {code}: {(folder / 'log').read_text()[-300:]}"
                )
            elif found != wanted:
                problems.append(f"{words}: another result after kills")
            left = [path.name for path in folder.rglob(".lgt-*.tmp")]
            problems += [f"{words}: left {name}" for name in left]
    return problems


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30, help="of each command [30]")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problems = []
    for words, made in ((LATENTS, latents), (TRAINING, weights), (PAINTING, paintings)):
        chance = random.Random(f"{words} {options.seed}")
        found = torment(words, made, options.kills, chance)
        print(f"{words.split()[0]}: {options.kills} kills, {len(found)} problem(s)", flush=True)
        problems += found
    if problems:
        print("\n".join(problems))
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()

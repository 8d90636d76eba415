"""Write what is generated from the configuration schema.

Writes `config.json`, `docs/configuration.md`, the defaults in `docs/own-model.md` (its rows say
which keys; their cells are refreshed) and the table of presets in `docs/design.md`, from energies
that are built for it. `--check` writes nothing and fails when one is stale.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from lgt.build import build_bank, build_energy
from lgt.config import Config, config_to_dict
from lgt.config.document import commented_json, markdown, markdown_table
from lgt.config.presets import PRESETS, preset
from lgt.config.reference import all_keys
from lgt.nn import FeatureMaps

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"(<!-- defaults: begin -->\n).*?(\n<!-- defaults: end -->)", re.DOTALL)
PRESETS_TABLE = re.compile(r"(<!-- presets: begin -->\n).*?(\n<!-- presets: end -->)", re.DOTALL)
PARTS = ("style", "content", "guard")
SHOWN = (
    *("loss.style_bands", "loss.assigned_works", "loss.perceptual_network", "training.objective"),
    *("training.start", "training.ode_integration_steps", "training.use_langevin"),
    *("inference.num_steps", "inference.temperature_lambda", "inference.use_cfg"),
)
"""Keys beside the terms that tell the presets' methods apart."""
ROW = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \|", re.MULTILINE)


def refreshed_table(text: str) -> str:
    """Rewrite the rows between the markers; a row of a key that is gone is dropped."""
    keys = {key.dotted: key for key in all_keys()}
    match = TABLE.search(text)
    if match is None:
        raise SystemExit(
            "docs/own-model.md has no table between the markers 'defaults: begin' and 'end'"
        )
    rows = [keys[name] for name in ROW.findall(match[0]) if name in keys]
    return TABLE.sub(lambda found: found[1] + markdown_table(rows, dotted=True) + found[2], text)


def looked_at(x: Tensor) -> FeatureMaps:
    """Stand for a network's two views of two layers each, with edges."""
    maps = [F.pixel_unshuffle(x, 2), F.avg_pool2d(x, 4)]
    return FeatureMaps([*maps, *(m.abs() for m in maps)], maps, x[:, :1], x[:, :1], x[:, :1])


def terms_of(config: Config) -> dict[tuple[str, str], float]:
    """Return part, name and factor of each term of a configuration's energy that counts.

    Works and features stand for any; the latents are those of Stable Diffusion.
    """
    if config.training.objective == "ot_cfm":
        return {}
    count = config.model.num_styles
    latents = torch.randn(4 * count, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    bank = build_bank(config, latents, torch.arange(len(latents)) % count)
    pictures = {"works_root": "", "works_margin": 0.0, "detail": 0.0}
    config = config.model_copy(update={"loss": config.loss.model_copy(update=pictures)})
    has_network = config.loss.perceptual_network != "none"
    look = {"features": looked_at, "content": looked_at}
    features = SimpleNamespace(**look, num_branches=2) if has_network else None
    energy = build_energy(config, bank, features)  # type: ignore[arg-type]
    return {
        (term.part, name): gain
        for term in energy.terms
        for name, gain in term.gains.items()
        if gain
    }


def presets_table() -> str:
    """Write which terms each preset's energy has, and how it paints."""
    configs = [preset(name) for name in PRESETS]
    terms = [terms_of(config) for config in configs]
    lines = [
        f"| | {' | '.join(f'`{name}`' for name in PRESETS)} |",
        "| --- " * (1 + len(PRESETS)) + "|",
    ]
    names = dict.fromkeys(name for found in terms for name in found)
    for part, name in sorted(names, key=lambda row: PARTS.index(row[0])):
        cells = [f"{found[part, name]:g}" if (part, name) in found else "" for found in terms]
        lines.append(f"| {part}: {name} | {' | '.join(cells)} |")
    for dotted in SHOWN:
        section, _, key = dotted.partition(".")
        cells = [json.dumps(config_to_dict(config)[section][key]) for config in configs]
        if section == "loss":
            cells = [cell if found else "" for cell, found in zip(cells, terms, strict=True)]
        lines.append(f"| `{dotted}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def generated() -> dict[Path, str]:
    """Return file -> the text it should have."""
    own, design = ROOT / "docs" / "own-model.md", ROOT / "docs" / "design.md"
    return {
        ROOT / "config.json": commented_json(),
        ROOT / "docs" / "configuration.md": markdown(),
        own: refreshed_table(own.read_text(encoding="utf-8")),
        design: PRESETS_TABLE.sub(
            lambda found: found[1] + presets_table() + found[2], design.read_text(encoding="utf-8")
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    stale = []
    for path, text in generated().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    names = ", ".join(map(str, stale)) or "nothing"
    sys.stdout.write(f"{'stale' if check else 'wrote'}: {names}\n")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()

"""Write what is generated from the configuration schema.

Writes `config.json`, `docs/configuration.md` and the table of defaults in `README.md` (its rows
say which keys; their cells are refreshed). `--check` writes nothing and fails when one is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lgt.config.document import commented_json, markdown, markdown_table
from lgt.config.reference import all_keys

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"(<!-- defaults: begin -->\n).*?(\n<!-- defaults: end -->)", re.DOTALL)
ROW = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \|", re.MULTILINE)


def refreshed_readme(text: str) -> str:
    """Rewrite the rows between the markers; a row of a key that is gone is dropped."""
    keys = {key.dotted: key for key in all_keys()}
    match = TABLE.search(text)
    if match is None:
        raise SystemExit("README.md has no table between the markers 'defaults: begin' and 'end'")
    rows = [keys[name] for name in ROW.findall(match[0]) if name in keys]
    return TABLE.sub(lambda found: found[1] + markdown_table(rows, dotted=True) + found[2], text)


def generated() -> dict[Path, str]:
    """Return file -> the text it should have."""
    readme = ROOT / "README.md"
    return {
        ROOT / "config.json": commented_json(),
        ROOT / "docs" / "configuration.md": markdown(),
        readme: refreshed_readme(readme.read_text(encoding="utf-8")),
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

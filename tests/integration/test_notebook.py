"""The notebook runs from its first cell to its last, and shows its pictures to a reader."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from limits import HANG

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"


def cells() -> list[dict[str, Any]]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    found: list[dict[str, Any]] = content["cells"]
    assert len({cell["id"] for cell in found}) == len(found) > 5
    return found


def test_cells_run_in_order(tmp_path: Path, commands: Path) -> None:
    code = ["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"]
    script = tmp_path / "quickstart.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    result = subprocess.run(
        [commands / "python", str(script)],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "vangogh" in result.stdout


def test_its_pictures_are_stored() -> None:
    """By `scripts/run_notebook.py`, as JPEG: each version of a picture stays in the history."""
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/jpeg") >= 4 and "image/png" not in kinds
    assert NOTEBOOK.stat().st_size < 600_000

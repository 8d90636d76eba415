"""The notebook runs from its first cell to its last, and is stored without outputs."""

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


def test_no_output_is_stored() -> None:
    for cell in cells():
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None

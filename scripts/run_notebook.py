"""Run `examples/quickstart.ipynb` and keep its pictures in it, as JPEG.

Needs the extra `demo`, and nbclient and ipykernel in the same environment.
"""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).resolve().parents[1] / "examples" / "quickstart.ipynb"
QUALITY = 80


def main() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.get("metadata", {}).pop("execution", None)  # Times, which change at every run.
        for output in cell.get("outputs", []):
            shrink(output.get("data", {}))
    nbformat.write(notebook, NOTEBOOK)


def shrink(data: dict[str, Any]) -> None:
    """Keep a picture of an output as a JPEG."""
    picture = data.pop("image/png", None)
    if picture is None:
        return
    stream = BytesIO()
    with Image.open(BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").save(stream, "JPEG", quality=QUALITY, optimize=True)
    data["image/jpeg"] = base64.b64encode(stream.getvalue()).decode("ascii")


if __name__ == "__main__":
    main()

"""Runs the notebook of the tutorial, `docs/tutorial/training.ipynb`, and keeps what its cells show."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial" / "training.ipynb"


def shrink(shown: dict[str, Any]) -> None:
    """Turn a picture of noise, which PNG cannot compress, into JPEG."""
    if "image/png" in shown:
        file = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(shown.pop("image/png")))).convert("RGB").save(file, "JPEG", quality=85)
        shown["image/jpeg"] = base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """Run it and write it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=600, resources=where, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # Bars are for whoever watches; what stays of them is hundreds of lines.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                shrink(output.get("data", {}))
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()

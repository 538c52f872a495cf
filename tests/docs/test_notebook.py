"""The notebook of the tutorial does what it says, here with little to learn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.algorithms_shipped.shipped import TORCH
from tests.docs.blocks import ROOT, environment

if not TORCH:
    pytest.skip("no PyTorch: pip install 'compox-core[torch]'", allow_module_level=True)

import nbformat
from nbclient import NotebookClient

NOTEBOOK = ROOT / "docs" / "tutorial" / "training.ipynb"
LARGEST = 400 << 10  # bytes, with the pictures in it


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who runs the cells from top to bottom meets no error, sees pictures, and ships what was learned."""
    (tmp_path / "home").mkdir()
    for name, value in {**environment(tmp_path), "COMPOX_TUTORIAL_TINY": "1"}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert shown[-1]["data"]["text/plain"] == "True"


def test_what_is_shown_was_made_by_these_cells() -> None:
    """The notebook was run as it is, from top to bottom, without an error, and is not large."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert NOTEBOOK.stat().st_size < LARGEST

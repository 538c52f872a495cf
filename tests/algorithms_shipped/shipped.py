"""Where the shipped algorithms are, and how their modules are loaded without an engine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
# The one that learns needs PyTorch: without it, it is left out here, and its tests fail where CI is to run them.
TORCH = importlib.util.find_spec("torch") is not None or os.environ.get("CI") == "true"
KINDS = ("denoising", "segmentation", "registration", "volume", *(("training",) if TORCH else ()))
SAMPLES = {
    "denoising": "cell.png",
    "segmentation": "coins.png",
    "registration": "tissue.tif",
    "volume": "balls.tif",
    "training": "tissue.png",
}


def folder(kind: str) -> Path:
    """Return the folder of a template algorithm."""
    return ROOT / "algorithms" / f"template_{kind}_algorithm"


def sample(kind: str) -> Path:
    """Return the sample file of a template algorithm."""
    return folder(kind) / "files" / "sample" / SAMPLES[kind]


def load(path: Path) -> ModuleType:
    """Import a Python file under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"shipped_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

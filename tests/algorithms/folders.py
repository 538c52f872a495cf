"""Small algorithm folders for tests of packing."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

PYPROJECT = """[project]
name = "sample"
version = "1.2"

[tool.compox]
algorithm_type = "Image2Image"
tags = ["test"]
description = "For tests."
"""
RUNNER = """from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def inference(self, images, args):
        return images
"""


def write_folder(
    root: Path, files: Mapping[str, str | bytes] | None = None, *, options: str = "", without: str = ""
) -> Path:
    """Write a folder with `Runner.py`, `pyproject.toml` (ended by `options`) and `files`, and return it."""
    content: dict[str, str | bytes] = {"Runner.py": RUNNER, "pyproject.toml": PYPROJECT + options, **(files or {})}
    content.pop(without, None)
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return root


def write_zip(path: Path, folder: Path, prefix: str = "") -> Path:
    """Write the files of a folder into a zip, below `prefix`, and return the zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path

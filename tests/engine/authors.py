"""Writes algorithm folders for tests."""

from __future__ import annotations

import textwrap
from pathlib import Path

PYPROJECT = """
[project]
name = "{name}"
version = "{version}"

[tool.compox]
algorithm_type = "{kind}"
tags = ["test"]
description = "For tests."
obfuscate = false
{extra}
"""


def write_algorithm(
    folder: Path,
    runner: str,
    *,
    name: str = "sample",
    version: str = "1.0",
    kind: str = "Image2Image",
    extra: str = "",
    files: dict[str, str | bytes] | None = None,
) -> Path:
    """Write an algorithm's folder and return it."""
    everything: dict[str, str | bytes] = {
        "Runner.py": runner,
        "pyproject.toml": PYPROJECT.format(name=name, version=version, kind=kind, extra=extra),
        **(files or {}),
    }
    for path, content in everything.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            target.write_text(textwrap.dedent(content), encoding="utf-8")
    return folder


def image_runner(body: str, imports: str = "") -> str:
    """Return a Runner.py whose `inference(self, data, args)` is `body`."""
    head = f"import time\nimport numpy as np\nfrom compox_core.runners import Image2ImageRunner\n{imports}\n\n"
    method = "    def inference(self, data, args):\n" + textwrap.indent(textwrap.dedent(body).strip(), "        ")
    return f"{head}class Runner(Image2ImageRunner):\n{method}\n"

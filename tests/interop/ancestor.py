"""The ancestor's own command line, in a virtual environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

VERSION = "3.2.0"
IMPORTED = (
    "typer",
    "requests",
    "pydantic-settings",
    "pyyaml",
    "loguru",
    "boto3",
    "cryptography",
    "numpy",
    "h5py",
    "pillow",
)
"""What its command line imports, which is less than half of what it depends on."""
ROOT = Path(__file__).parents[2]
START = "import sys; sys.argv[0] = 'compox'; from compox.cli import app; app()"
TIMEOUT = 600


class Ancestor:
    """`compox` of that version, as a program."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def __call__(self, *words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it with these words in a folder."""
        return self.run("-c", START, *words, folder=folder)

    def run(self, *words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python with these words in a folder."""
        environment = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1"}
        return subprocess.run(
            [self._python, *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            cwd=folder,
            env=environment,
        )


def ancestor() -> Ancestor:
    """Return the ancestor, installed the first time into the folder that COMPOX_TEST_ANCESTOR names, else `.cache`.

    Skips where it cannot be installed; in CI that fails.
    """
    home = Path(os.environ.get("COMPOX_TEST_ANCESTOR") or ROOT / ".cache" / "ancestor").absolute()
    target = home / f"compox-{VERSION}-{sys.implementation.cache_tag}"
    if not target.exists():
        home.mkdir(parents=True, exist_ok=True)
        part = home / f"{target.name}-{os.getpid()}"
        try:
            _install(part)
            part.rename(target)
        except (OSError, subprocess.SubprocessError) as error:
            if not target.exists():  # else other tests were quicker
                _unavailable(error)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Ancestor(_python_of(target))


def _install(folder: Path) -> None:
    venv.create(folder, with_pip=True)
    for words in (["--no-deps", f"compox=={VERSION}"], IMPORTED):
        _pip(_python_of(folder), words)


def _pip(python: Path, words: Sequence[str]) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
    subprocess.run(
        [python, "-m", "pip", "install", *quiet, *words], check=True, capture_output=True, text=True, timeout=TIMEOUT
    )


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _unavailable(error: Exception) -> None:
    said = str(getattr(error, "stderr", "") or error).strip().splitlines()
    reason = f"compox {VERSION} could not be installed: {said[-1] if said else error}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI is set")
    pytest.skip(reason)

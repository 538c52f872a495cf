"""`make demo` does what README promises."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from demo.run import conclude, fresh_store
from demo.server import serving
from demo.verdicts import Verdict

ROOT = Path(__file__).parents[2]


def run_demo(out: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo as `make demo` does, into a folder of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py"), str(out)],
        cwd=out.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )


def test_demo_runs_from_anywhere(tmp_path: Path) -> None:
    """It ends with 0, finds every output identical in process and over HTTP, and leaves its pictures."""
    out = tmp_path / "out"
    done = run_demo(out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every output is identical" in done.stdout
    assert "24 of 24" in done.stdout and "40 of 40" in done.stdout
    assert Image.open(out / "result.png").width > 1000
    assert len(list(out.glob("*-denoised.png"))) == 4
    assert (out / "server.log").read_text(encoding="utf-8") == ""


def test_only_an_earlier_store_is_removed(tmp_path: Path) -> None:
    """A second demo starts from nothing, but a folder `store` that is no store of ours stays."""
    marker = fresh_store(tmp_path) / "system-store" / "format"
    marker.parent.mkdir(parents=True)
    marker.write_text("{}", encoding="utf-8")
    assert not fresh_store(tmp_path).exists()
    treasure = tmp_path / "other" / "store" / "treasure.txt"
    treasure.parent.mkdir(parents=True)
    treasure.write_text("mine", encoding="utf-8")
    assert fresh_store(tmp_path / "other") == treasure.parent
    assert treasure.exists()


def test_exit_code_tells_the_truth() -> None:
    """A difference between the two ways, or a result that is not good enough, ends the demo with 1 and its name."""
    good, bad = (Verdict("denoise cell", "PSNR", "20", "39 dB", fine) for fine in (True, False))
    for verdicts, unequal, code in (([good], [], 0), ([bad], [], 1), ([good], ["denoise cell"], 1)):
        said = io.StringIO()
        assert conclude(Console(file=said), verdicts, unequal) == code
        assert ("denoise cell" in said.getvalue()) == bool(code)


def test_a_server_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    """When the server cannot open its store, the message has what it said."""
    (tmp_path / "store").write_text("no folder", encoding="utf-8")
    told = pytest.raises(RuntimeError, match=r"exit code 1 before it listened:\n(.|\n)*Error")
    with told, serving(tmp_path / "store", tmp_path / "log"):
        pytest.fail("the server came up")

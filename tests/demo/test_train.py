"""`make demo-train` does what README promises; here with little to learn, and from little."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.algorithms_shipped.shipped import TORCH

if not TORCH:
    pytest.skip("no PyTorch: pip install 'compox-core[torch]'", allow_module_level=True)

from demo.lessons import Pair, best_non_local_means, best_total_variation, examination, lessons
from demo.train import Answer, conclude, too_little

ROOT = Path(__file__).parents[2]


def test_the_demo_trains_ships_and_goes_on(tmp_path: Path) -> None:
    """It ends with 0 and leaves its pictures, the history of every epoch, and a zip."""
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "train.py"), str(out), "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same weights" in done.stdout and "the same pixels" in done.stdout
    assert Image.open(out / "result.png").width > 1000
    assert Image.open(out / "loss-curve.png").width > 1000
    assert len((out / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 6
    assert (out / "template_training_algorithm.zip").stat().st_size > 1e6


def test_nothing_of_the_examination_is_learned_from() -> None:
    """No 16 x 16 pixels of an examination are part of what is learned from, in any channel."""
    seen = {
        channel[y : y + 16, x : x + 16].tobytes()
        for pair in lessons()
        for channel in np.atleast_3d(pair.clean).transpose(2, 0, 1)
        for y in range(0, channel.shape[0] - 15, 4)
        for x in range(0, channel.shape[1] - 15, 4)
    }
    for pair in examination().values():
        for channel in np.atleast_3d(pair.clean).transpose(2, 0, 1):
            for y in range(64, 68):
                assert all(channel[y : y + 16, x : x + 16].tobytes() not in seen for x in range(64, 68))


def test_classic_methods_are_given_their_best() -> None:
    """Both take decibels of noise away, on grey pictures and in colour."""
    for pair in examination(quick=True).values():
        results = {"before": pair.noisy, "tv": best_total_variation(pair), "nlm": best_non_local_means(pair)}
        answer = Answer(pair, results)
        assert min(answer.decibels("tv"), answer.decibels("nlm")) > answer.decibels("before") + 5


def test_exit_code_tells_the_truth() -> None:
    """Too little learned, other pixels elsewhere, or other weights after a break end the demo with 1 and say so."""
    clean = np.zeros((4, 4), np.uint8)
    noisy = clean + np.uint8(9)
    bad = too_little({"cell": Answer(Pair(noisy, clean), {"before": noisy, "learned": noisy})})
    assert bad == ["cell"]
    assert too_little({"cell": Answer(Pair(noisy, clean), {"before": noisy, "learned": clean})}) == []
    cases = (([], True, True, 0, "same pixels"), (bad, True, True, 1, "cell"))
    cases += (([], False, True, 1, "not so"), ([], True, False, 1, "not so"))
    for names, shipped, resumed, code, words in cases:
        said = io.StringIO()
        assert conclude(Console(file=said, width=200), names, shipped, resumed) == code
        assert words in said.getvalue()

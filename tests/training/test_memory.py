"""A training needs memory for the files that it has in hand, however many there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.training.streamed import MIB, prepare, trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="address space is limited and told as Linux does it"),
]

FILES = 16


def test_samples_are_streamed(tmp_path: Path) -> None:
    """512 MiB of samples go to the local disk and from there to the algorithm in half as much address space.

    `python -m benchmarks.training` does it with 2 GiB in 1 GiB.
    """
    sample_id = prepare(tmp_path / "store", FILES)
    figures = trained(tmp_path / "store", tmp_path / "temp", sample_id, str(256 * MIB))
    assert (figures["status"], figures["files"]) == ("COMPLETED", FILES)
    assert figures["resident_peak"] - figures["resident_base"] < 256 * MIB
    assert list((tmp_path / "temp").iterdir()) == []

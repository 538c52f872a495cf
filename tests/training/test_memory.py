"""A training needs memory for the files that it has in hand, however many there are."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from compox_core.storage.collections import ASSETS
from tests.training.school import completed, opened
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


@contextmanager
def growth_within(most: int) -> Iterator[None]:
    """Assert that the block needs at most so much more memory than there was before it, in bytes."""
    process = psutil.Process()
    begin = peak = process.memory_info().rss
    ended = threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert peak - begin < most


@pytest.mark.parametrize(("size", "how"), [(2100, "path"), (600, "open file")])
def test_a_large_checkpoint_is_streamed(tmp_path: Path, size: int, how: str) -> None:
    """More than 2 GiB from a file, which fit no 32-bit size; a run reads them as they were."""
    if shutil.disk_usage(tmp_path).free < 4 * size * MIB:
        pytest.skip("no room on the disk")
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.truncate(size * MIB)  # holes, which cost no room until they are copied
        file.seek(-3, 2)
        file.write(b"end")

    def lesson(self: Any, data: list[str]) -> None:
        with path.open("rb") as stream:
            stream.read(10)
            self.save_checkpoint({"weights.bin": path if how == "path" else stream})

    with opened(tmp_path, "inline", stored=True) as school:
        with growth_within(64 * MIB):
            record = completed(school.train(lesson))
        [checkpoint] = [school.engine.checkpoints.get(each) for each in record.output_checkpoint_ids]
        assert checkpoint.size == size * MIB
        with school.engine.store.open(ASSETS, checkpoint.assets["weights.bin"].key) as stored:
            assert stored.read(4) == bytes(4)
            stored.seek(-4, 2)
            assert stored.read() == b"\0end"
        school.engine.checkpoints.delete(checkpoint.checkpoint_id)
        assert sum(info.size for info in school.engine.store.list(ASSETS)) < MIB

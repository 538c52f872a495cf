"""Deploys, runs and collections of several processes on one store, at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.registry import Registry
from compox_core.storage import ASSETS, MODULES, SYSTEM, ObjectStore
from tests.algorithms.views import check_whole
from tests.engine.authors import image_runner, write_algorithm
from tests.jobs.aged import own_machine

ROOT = Path(__file__).parents[2]
COLLECT = """
import sys
from pathlib import Path
from compox_core.jobs.retention import Retention
from compox_core.settings.models import Storage
from compox_core.storage import open_store
place, stop = sys.argv[1:]
rounds = 0
with open_store(place) as store:
    retention = Retention(store, Storage())
    print("ready", flush=True)
    removed = 0
    while not Path(stop).exists() or rounds < 3:
        report = retention.collect()
        assert report.problems == (), report.problems
        removed += report.count
        rounds += 1
print(rounds, removed, flush=True)
"""
DEPLOYS = 6
IMAGE = np.ones((4, 5), np.float32)


def collector(place: Path, stop: Path) -> subprocess.Popen[str]:
    """Start a process that collects again and again until `stop` is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", COLLECT, str(place), str(stop)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def unnamed(store: ObjectStore) -> int:
    """Return how many blobs of a store no version names."""
    registry = Registry(store)
    versions = [registry.version(found.algorithm_id, minor) for found in registry.list() for minor in found.minors]
    named = {version.module.key for version in versions}
    named |= {entry.key for version in versions for entry in version.assets.values()}
    return len({info.key for name in (MODULES, ASSETS) for info in store.list(name)} - named)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files and a module cache of this test's own."""
    folder = own_machine(tmp_path, monkeypatch)
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_deploys_and_runs_beside_collections(tmp_path: Path) -> None:
    """While two processes collect, every deploy can be run, now and at the end, and what was removed is gone.

    All versions share an asset, and each is removed again but for the last ones: so that there is always something to
    collect, and something to reuse.
    """
    place, stop = tmp_path / "store", tmp_path / "stop"
    with cx.Engine(place) as engine:
        engine.open()
        collectors = [collector(place, stop) for _ in range(2)]
        for number in range(DEPLOYS):
            body = f"return data * {number} + len(self.fetch_asset('files/w').read())"
            files = {"files/w": b"shared", f"files/own{number % 3}": b"%d" % (number % 3)}
            extra = "removable = true"
            folder = write_algorithm(tmp_path / f"a{number}", image_runner(body), files=files, extra=extra)
            assert engine.deploy(folder).created
            result = engine.run("sample", IMAGE, progress=False)
            np.testing.assert_array_equal(result, IMAGE * number + 6)
            if number % 3 != 2:
                engine.algorithms.remove("sample", 1, number)
            check_whole(engine.store)
        stop.touch()
        rounds = []
        for process in collectors:
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0
            rounds.append(int(said.split()[0]))
        assert min(rounds) >= 3
        left = range(2, DEPLOYS, 3)
        assert engine.algorithms.get("sample").minors == list(left)
        for minor in left:
            result = engine.run("sample", IMAGE, minor=minor, progress=False)
            np.testing.assert_array_equal(result, IMAGE * minor + 6)
        engine.gc()
        assert unnamed(engine.store) == 0
        assert [info.key for info in engine.store.list(SYSTEM, "blob-")] == []


def test_a_collector_that_is_killed_leaves_a_store_that_works(tmp_path: Path) -> None:
    """Killed in the middle of its work, again and again, it is in nobody's way; deploys and runs go on."""
    place = tmp_path / "store"
    with cx.Engine(place) as engine:
        engine.open()
        for number in range(3):
            for part in range(20):
                engine.store.put(ASSETS, f"{number:032x}{part:032x}", b"lost")
            process = collector(place, tmp_path / "never")
            deadline = time.monotonic() + 60
            while len(list(engine.store.list(ASSETS))) > 15 and time.monotonic() < deadline:
                time.sleep(0.005)
            process.kill()
            process.communicate()
            body = f"return data + {number} + len(self.fetch_asset('files/w').read())"
            folder = write_algorithm(tmp_path / f"a{number}", image_runner(body), files={"files/w": b"shared"})
            engine.deploy(folder)
            np.testing.assert_array_equal(engine.run("sample", IMAGE, progress=False), IMAGE + number + 6)
        engine.gc()
        check_whole(engine.store)
        for minor in range(3):
            result = engine.run("sample", IMAGE, minor=minor, progress=False)
            np.testing.assert_array_equal(result, IMAGE + minor + 6)
        assert unnamed(engine.store) == 0

"""What was learned goes out with its algorithm: a checkpoint in a zip that deploys anywhere."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.registry import Registry
from compox_core.engine.checkpoints import Checkpoints
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.records import AlgorithmVersion
from compox_core.storage import ObjectStore
from tests.algorithms.learned import save
from tests.engine.authors import image_runner, write_algorithm

IMAGE = np.arange(6, dtype=np.float32).reshape(2, 3)
EXPORTS = Path(__file__).parents[1] / "artefacts" / "interop" / "exports"
BODY = "return data * len(self.fetch_asset('files/w.bin').read())"
FILES = {"files/w.bin": b"12", "files/note.txt": b"as deployed"}


@pytest.fixture
def engine() -> Iterator[cx.Engine]:
    with cx.Engine("memory://", executor="inline") as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[cx.Engine]:
    """An engine of somebody else."""
    with cx.Engine("memory://", executor="inline") as opened:
        yield opened


@pytest.fixture
def checkpoints(engine: cx.Engine) -> Checkpoints:
    return of(engine.store)


@pytest.fixture
def version(engine: cx.Engine, tmp_path: Path) -> AlgorithmVersion:
    """An algorithm that multiplies by the length of its weights, which is 2."""
    return engine.deploy(write_algorithm(tmp_path / "a", image_runner(BODY), files=FILES)).version


def of(store: ObjectStore) -> Checkpoints:
    registry = Registry(store)
    return Checkpoints(registry.checkpoints, registry)


def test_the_zip_deploys_elsewhere_with_what_was_learned(
    engine: cx.Engine, other: cx.Engine, version: AlgorithmVersion, tmp_path: Path
) -> None:
    """Code, configuration and the other assets are the algorithm's; without a checkpoint the zip is as before."""
    plain = engine.algorithms.export("sample", target=tmp_path / "plain.zip")
    saved = save(Registry(engine.store).checkpoints, version, {"files/w.bin": b"12345"})
    path = engine.algorithms.export("sample", checkpoint_id=saved.checkpoint_id, target=tmp_path / "learned.zip")
    with zipfile.ZipFile(path) as learned, zipfile.ZipFile(plain) as deployed:
        assert learned.namelist() == deployed.namelist()
        assert "pyproject.toml" in learned.namelist()
        for name in learned.namelist():
            expected = b"12345" if name == "files/w.bin" else deployed.read(name)
            assert learned.read(name) == expected
    again = engine.algorithms.export("sample", target=tmp_path / "again.zip")
    assert again.read_bytes() == plain.read_bytes()
    other.deploy(path)
    np.testing.assert_array_equal(other.run("sample", IMAGE, progress=False), IMAGE * 5)
    np.testing.assert_array_equal(engine.run("sample", IMAGE, progress=False), IMAGE * 2)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="they hold code that is compiled for Python 3.11")
def test_the_zip_has_the_shape_that_compox_3_gave_it(engine: cx.Engine, tmp_path: Path) -> None:
    """Of the same algorithm and the same learned content, it holds the same files."""
    theirs = EXPORTS / "level_cut_2_checkpoint.zip"
    latest = engine.deploy(EXPORTS / "level_cut_2_minor3.zip")
    with zipfile.ZipFile(theirs) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    learned = files["files/level.json"]
    with zipfile.ZipFile(EXPORTS / "level_cut_2_minor3.zip") as archive:
        assert archive.read("files/level.json") != learned
    saved = save(Registry(engine.store).checkpoints, latest.version, {"files/level.json": learned})
    path = engine.algorithms.export(latest.record.name, checkpoint_id=saved.checkpoint_id, target=tmp_path / "x.zip")
    with zipfile.ZipFile(path) as archive:
        assert set(archive.namelist()) == set(files)
        assert archive.read("files/level.json") == learned


def test_a_checkpoint_that_does_not_fit_is_not_exported(
    engine: cx.Engine, version: AlgorithmVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither another algorithm's, nor one with an asset that the minor lacks, nor one that is gone; no file stays."""
    runner = image_runner("return data")
    foreign = engine.deploy(write_algorithm(tmp_path / "b", runner, name="other", files=FILES)).version
    registry = Registry(engine.store)
    first = save(registry.checkpoints, version, {"files/note.txt": b"learned"}).checkpoint_id
    second = save(registry.checkpoints, foreign, {"files/w.bin": b"1"}).checkpoint_id
    engine.deploy(write_algorithm(tmp_path / "c", image_runner(BODY), files={"files/w.bin": b"1"}))
    target, scratch = tmp_path / "x.zip", tmp_path / "scratch.zip"
    monkeypatch.setattr(engine.store, "scratch", lambda: scratch)
    for checkpoint_id, kind, code in (
        (first, InvalidInputError, "checkpoint_asset_incompatible"),
        (second, InvalidInputError, "invalid_checkpoint"),
        ("none", NotFoundError, "checkpoint_not_found"),
    ):
        for where in (target, None):
            with pytest.raises(kind, match=checkpoint_id) as caught:
                engine.algorithms.export("sample", checkpoint_id=checkpoint_id, target=where)
            assert caught.value.code == code  # type: ignore[attr-defined]
            assert not target.exists() and not scratch.exists()
    path = engine.algorithms.export("sample", 1, version.minor, checkpoint_id=first, target=target)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("files/note.txt") == b"learned"


class TestCheckpoints:
    def test_they_are_found_by_algorithm_in_every_major(
        self, engine: cx.Engine, checkpoints: Checkpoints, version: AlgorithmVersion, tmp_path: Path
    ) -> None:
        """By its name, in any case, or its id, by training, by tags, and all of them by going over them."""
        folder = write_algorithm(tmp_path / "b", image_runner(BODY), version="2.0", files=FILES)
        second = engine.deploy(folder).version
        store = Registry(engine.store).checkpoints
        one = save(store, version, {"files/w.bin": b"1"}, training_id="one", tags=["Good"])
        two = save(store, second, {"files/w.bin": b"2"}, training_id="two", properties={"loss": 0.5})
        assert list(checkpoints) == checkpoints.list() == checkpoints.list(algorithm="SAMPLE") == [one, two]
        assert checkpoints.list(algorithm=second.algorithm_id) == checkpoints.list(training_id="two") == [two]
        assert checkpoints.list(positive_tags=["good "]) == checkpoints.list(algorithm="sample", training_id="one")
        assert checkpoints.list(negative_tags=["GOOD"]) == [two]
        assert checkpoints.get(one.checkpoint_id) == one
        with pytest.raises(NotFoundError, match="nothing"):
            checkpoints.list(algorithm="nothing")
        checkpoints.delete(one.checkpoint_id)
        assert list(checkpoints) == [two]
        assert not checkpoints.is_empty()

    def test_a_notebook_shows_them(
        self, checkpoints: Checkpoints, engine: cx.Engine, version: AlgorithmVersion
    ) -> None:
        """A table, with what people wrote escaped."""
        saved = save(
            Registry(engine.store).checkpoints, version, {"files/w.bin": b"1"}, tags=["<b>"], properties={"loss": 0.5}
        )
        shown = checkpoints._repr_html_()
        assert saved.checkpoint_id in shown and "sample 1" in shown and "0.5" in shown
        assert "<b>" not in shown and "&lt;b&gt;" in shown

    def test_a_version_with_a_checkpoint(
        self, checkpoints: Checkpoints, engine: cx.Engine, version: AlgorithmVersion
    ) -> None:
        """It has its assets; an unknown checkpoint is said to be none."""
        saved = save(Registry(engine.store).checkpoints, version, {"files/w.bin": b"1"})
        assert checkpoints.resolved(saved.checkpoint_id, version).assets["files/w.bin"] == saved.assets["files/w.bin"]
        with pytest.raises(NotFoundError, match="'x'"):
            checkpoints.resolved("x", version)

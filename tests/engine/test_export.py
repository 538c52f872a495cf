"""What is exported deploys again, and is then the same."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.storage import ASSETS
from tests.algorithms_shipped.shipped import KINDS, folder
from tests.engine.authors import image_runner, write_algorithm

IMAGE = np.arange(6, dtype=np.float32).reshape(2, 3)
EXPORTS = Path(__file__).parents[1] / "artefacts" / "interop" / "exports"


@pytest.fixture
def engine() -> Iterator[cx.Engine]:
    with cx.Engine("memory://", executor="inline") as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[cx.Engine]:
    """An engine of somebody else."""
    with cx.Engine("memory://", executor="inline") as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_every_algorithm_that_we_ship(engine: cx.Engine, other: cx.Engine, kind: str, tmp_path: Path) -> None:
    """It is another store's algorithm with the same files, and what that exports is the same zip."""
    given = engine.deploy(folder(kind))
    name = given.record.name
    first = engine.algorithms.export(name, target=tmp_path / "first.zip")
    taken = other.deploy(first)
    assert taken.record.metadata == given.record.metadata
    assert {path: asset.sha256 for path, asset in taken.version.assets.items()} == {
        path: asset.sha256 for path, asset in given.version.assets.items()
    }
    second = other.algorithms.export(name, target=tmp_path / "second.zip")
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        assert sorted(one.namelist()) == sorted(two.namelist())
        assert "Runner.py" in one.namelist() and "pyproject.toml" in one.namelist()
    again = engine.algorithms.export(name.upper(), given.record.major, given.version.minor)
    try:
        assert again.read_bytes() == first.read_bytes()
    finally:
        again.unlink()


@pytest.mark.parametrize("options", ["", "obfuscate = true", "pyc_only = true"])
def test_code_however_it_is_stored(engine: cx.Engine, other: cx.Engine, tmp_path: Path, options: str) -> None:
    """Source, minified or compiled: elsewhere it computes the same, with its modules and assets."""
    body = "return data * factor() + len(self.fetch_asset('files/w.bin').read())"
    source = write_algorithm(
        tmp_path / "a", image_runner(body, "from utils.factors import factor"),
        files={"utils/factors.py": "def factor():\n    return 2\n", "files/w.bin": b"123"},
    )  # fmt: skip
    config = (source / "pyproject.toml").read_text("utf-8").replace("obfuscate = false", options)
    (source / "pyproject.toml").write_text(config, "utf-8")
    engine.deploy(source)
    path = engine.algorithms.export("sample", target=tmp_path / "sample.zip")
    with zipfile.ZipFile(path) as archive:
        code = {name for name in archive.namelist() if name.endswith((".py", ".pyc"))}
    ending = ".pyc" if "pyc" in options else ".py"
    assert code == {f"Runner{ending}", f"utils/factors{ending}"}
    other.deploy(path)
    np.testing.assert_array_equal(other.run("sample", IMAGE, progress=False), IMAGE * 2 + 3)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="three of them hold code that is compiled for Python 3.11")
@pytest.mark.parametrize(
    "name", ["box_mean_1_source", "level_cut_2_latest", "level_cut_2_minor3", "level_cut_2_checkpoint"]
)
def test_what_compox_3_exported_is_exported_again(engine: cx.Engine, name: str, tmp_path: Path) -> None:
    """Its zip deploys, and ours of it holds the same files."""
    record = engine.deploy(EXPORTS / f"{name}.zip").record
    path = engine.algorithms.export(record.name, target=tmp_path / "x.zip")
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(EXPORTS / f"{name}.zip") as theirs:
        files = {each for each in theirs.namelist() if not each.endswith("/")}
        assert set(ours.namelist()) == files
        for each in files:
            if not each.endswith(".py"):
                assert ours.read(each) == theirs.read(each)


def test_what_cannot_be_exported_leaves_nothing(
    engine: cx.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a version or checkpoint that is not there, nor an algorithm that may not, nor one that is broken."""
    runner = image_runner("return data")
    engine.deploy(write_algorithm(tmp_path / "a", runner))
    engine.deploy(write_algorithm(tmp_path / "b", runner, name="secret", extra="exportable = false"))
    broken = engine.deploy(write_algorithm(tmp_path / "c", runner, name="broken", files={"w.bin": b"1"}))
    engine.store.delete(ASSETS, broken.version.assets["w.bin"].key)
    target, scratch = tmp_path / "x.zip", tmp_path / "scratch.zip"
    monkeypatch.setattr(engine.store, "scratch", lambda: scratch)
    for name, options, kind, code in (
        ("nothing", {}, NotFoundError, "algorithm_not_found"),
        ("sample", {"major": 9}, NotFoundError, "algorithm_not_found"),
        ("sample", {"minor": 9}, NotFoundError, "minor_version_not_found"),
        ("sample", {"checkpoint_id": "x"}, NotFoundError, "checkpoint_not_found"),
        ("secret", {}, ConflictError, "algorithm_not_exportable"),
        ("broken", {}, StorageError, "algorithm_export_failed"),
    ):
        for where in (target, None):
            with pytest.raises(kind) as caught:
                engine.algorithms.export(name, **options, target=where)  # type: ignore[arg-type]
            assert caught.value.code == code  # type: ignore[attr-defined]
            assert not target.exists() and not scratch.exists()
    with pytest.raises(NotFoundError) as unknown:
        engine.algorithms.export("sample", 1, 9)
    assert unknown.value.details["algorithm_name"] == "sample"

"""A server for each kind of store, shared by the tests of a module."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from tests.http.serving import Wire, deploy_all, hdf5_bytes, image, served, settings_for

STORES = ("memory", "local", pytest.param("s3", marks=pytest.mark.s3))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs an engine on each kind of store, or on those that its module names in `STORES`."""
    if "engine" in metafunc.fixturenames:
        stores = getattr(metafunc.module, "STORES", STORES)
        metafunc.parametrize("engine", stores, indirect=True, scope="module")


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the test algorithms, on a store in memory, in a folder, and on a real S3 server."""
    folder = tmp_path_factory.mktemp("served")
    scratch = folder / "scratch"
    scratch.mkdir()
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))  # a folder where nobody else leaves anything
    s3 = request.getfixturevalue("s3_server") if request.param == "s3" else None
    settings = settings_for(request.param, folder / "store", s3)
    settings["deploy"] = {"allowed_roots": [str(folder / "algorithms")]}
    engine = Engine(settings)
    try:
        deploy_all(engine, folder / "algorithms")
        yield engine
    finally:
        engine.close(wait=False)
        monkeypatch.undo()


@pytest.fixture(scope="module")
def wire(engine: Engine) -> Iterator[Wire]:
    """A connection to a server of that engine."""
    with served(engine) as url:
        wire = Wire(url)
        yield wire
        wire.close()


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """An HDF5 file with a small image."""
    return hdf5_bytes(tmp_path, image=image())

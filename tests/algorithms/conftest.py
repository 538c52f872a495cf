"""What tests of algorithms share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.storage import ObjectStore, open_store
from tests.algorithms.packages import PackageMaker
from tests.servers import S3Server


def opened(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """Give an empty store of this kind, ready for use."""
    if kind in ("moto", "ceph"):
        server: S3Server = request.getfixturevalue("moto_server" if kind == "moto" else "s3_server")
        store = open_store(server.url(), options=server.options)
    else:
        store = open_store("memory://" if kind == "memory" else folder)
    with store:
        store.ensure_collections()
        yield store


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store, once in memory and once in a folder."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture(
    params=[
        "memory",
        "folder",
        pytest.param("moto", marks=pytest.mark.s3),
        pytest.param("ceph", marks=pytest.mark.s3),
    ]
)
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store of every kind; a class whose tests depend on the kind makes it its `store`."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture
def package(tmp_path: Path) -> PackageMaker:
    """A maker of packed algorithms."""
    return PackageMaker(tmp_path / "packages")

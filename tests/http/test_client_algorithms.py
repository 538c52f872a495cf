"""Removing and exporting algorithms with the Python client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.errors import ConflictError, NotFoundError
from compox_http.client import Client
from tests.http.serving import DOUBLE, FACTOR, Wire, write_algorithm


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(wire.url) as client:
        yield client


@pytest.fixture
def spare(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """The name of an algorithm with two minor versions that nothing else uses."""
    folder = write_algorithm(
        tmp_path / "spare", "spare", DOUBLE, extra="removable = true\nobfuscate = false\n" + FACTOR
    )
    first = engine.deploy(folder).version.minor
    (folder / "more.txt").write_text(str(first), "utf-8")
    engine.deploy(folder)
    yield "spare"
    if any(record.name == "spare" for record in engine.algorithms):
        engine.algorithms.remove("spare", force=True)


def test_an_algorithm_is_removed_in_parts_or_whole(client: Client, engine: Engine, spare: str) -> None:
    """As the engine does it, and with its errors."""
    first, second = engine.algorithms.get(spare).minors
    client.algorithms.remove(spare, 1, first)
    assert client.algorithms.get(spare).minors == [second]
    with pytest.raises(NotFoundError):
        client.algorithms.remove(spare, 1, first)
    client.algorithms.remove(spare)
    with pytest.raises(NotFoundError):
        client.algorithms.remove(spare, 1)
    with pytest.raises(ConflictError) as refused:
        client.algorithms.remove("double", 1)
    assert refused.value.code == "algorithm_not_removable"


def test_an_algorithm_is_exported_whole_or_not_at_all(
    client: Client, engine: Engine, spare: str, tmp_path: Path
) -> None:
    """The zip deploys again, and an export that is refused leaves nothing and replaces nothing."""
    first, second = engine.algorithms.get(spare).minors
    path = client.algorithms.export(spare, target=tmp_path / "latest.zip")
    done = engine.deploy(path)
    assert (done.created, done.version.minor) == (False, second)
    client.algorithms.export(spare, 1, first, target=str(tmp_path / "first.zip"))
    assert (tmp_path / "first.zip").stat().st_size < path.stat().st_size
    before = path.read_bytes()
    with pytest.raises(NotFoundError):
        client.algorithms.export(spare, 1, 77, target=path)
    with pytest.raises(NotFoundError):
        client.algorithms.export("none", 1, target=tmp_path / "none.zip")
    assert path.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"spare", "latest.zip", "first.zip"}

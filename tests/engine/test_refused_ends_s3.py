"""The end of a job while the S3 server is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.refusing import CASES, Case, Gate, StoppedServer, algorithm, gate, imported, refused
from tests.servers import S3Server
from tests.storage.proxy import Proxy

__all__ = ["algorithm", "gate", "imported"]  # fixtures

pytestmark = pytest.mark.s3


@pytest.fixture
def place(moto_server: S3Server, tmp_path: Path) -> Iterator[StoppedServer]:
    """A server that can be stopped and started again: moto forgets all when it ends, so something before it does."""
    with Proxy(moto_server.endpoint) as proxy:
        yield StoppedServer(moto_server, proxy, tmp_path / "emergency")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_end_without_a_server(place: StoppedServer, case: Case, algorithm: Path, imported: Path, gate: Gate) -> None:
    """The client reads the true state while the server is away, and the server has it when it is back."""
    refused(place, case, algorithm, imported, gate)

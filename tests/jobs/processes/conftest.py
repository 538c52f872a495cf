"""One engine with a worker process for the tests of a module, or an engine of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.processes.shop import Shop, opened


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An engine with one worker, whose rungs wait for ever."""
    with opened(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path

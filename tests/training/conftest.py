"""Engines for the trainings of a module, or of one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.school import School, opened


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """An engine in memory that trains where it is asked to."""
    with opened(tmp_path_factory.mktemp("school"), "inline") as school:
        yield school


@pytest.fixture
def threads(tmp_path: Path) -> Iterator[School]:
    """An engine in memory that trains in a thread, with a short ladder."""
    stop = {"flag_seconds": 0.2, "exception_seconds": 5, "terminate_seconds": 2, "kill_seconds": 10}
    with opened(tmp_path, "threads", stop=stop) as school:
        yield school

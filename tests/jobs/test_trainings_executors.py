"""The executors inside this process, and worker processes, train as the contract says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from tests.contracts.trainings import TrainingContract
from tests.jobs.test_executor_contract import opened


class Here(TrainingContract):
    """One executor by its name."""

    name: str

    @pytest.fixture(autouse=True)
    def module_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = opened(self.name, tmp_path)
        yield engine
        engine.close(wait=False)


class TestInline(Here):
    """In the thread that submits."""

    name = "inline"
    blocks = True


class TestThreads(Here):
    """In threads of this process."""

    name = "threads"


class TestProcesses(Here):
    """In worker processes."""

    name = "processes"

"""What the contracts of executors are run on, where they need no broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.settings import load_settings


def opened(executor: str, tmp_path: Path) -> Engine:
    """Open an engine with one worker and a short ladder."""
    rungs = {"flag_seconds": 0.3, "exception_seconds": 5, "terminate_seconds": 2, "kill_seconds": 10}
    settings = {
        "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
        "inference": {"backend_settings": {"executor": executor}, "stop": rungs},
    }
    return Engine(load_settings(settings))


class Here:
    """One executor by its name, for a contract to be mixed in."""

    name: str

    @pytest.fixture(autouse=True)
    def module_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = opened(self.name, tmp_path)
        yield engine
        engine.close(wait=False)

"""Servers on one folder that are suspended, killed and have wrong clocks: every job ends, once, truthfully."""

from __future__ import annotations

from pathlib import Path

import pytest

from compox_core.storage import open_store
from tests.jobs.race import needs_signals, racing, run


@pytest.mark.slow
@needs_signals
def test_in_a_folder(tmp_path: Path) -> None:
    """Four servers that accept 120 jobs."""
    folder = tmp_path / "store"
    storage = {"backend_settings": {"provider": "local", "path": str(folder)}}
    with racing(tmp_path, storage, open_store(folder), jobs=30, lost_after=0.8, seconds=8) as race:
        run(race, servers=4)

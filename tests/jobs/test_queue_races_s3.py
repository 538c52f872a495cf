"""Servers on one S3 server that are suspended, killed and have wrong clocks: every job ends, once, truthfully."""

from __future__ import annotations

from pathlib import Path

import pytest

from compox_core.storage import open_store
from tests.jobs.race import needs_signals, racing, run
from tests.servers import S3Server


@pytest.mark.s3
@pytest.mark.slow
@needs_signals
def test_on_s3(tmp_path: Path, s3_server: S3Server) -> None:
    """Three servers that accept 30 jobs."""
    url = s3_server.url()
    storage = {"backend_settings": {"provider": "fsspec", "url": url, "options": s3_server.options}}
    store = open_store(url, options=s3_server.options)
    with racing(tmp_path, storage, store, jobs=10, lost_after=1.5, seconds=8) as race:
        run(race, servers=3)

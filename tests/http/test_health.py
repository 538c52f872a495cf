"""Whether a server lives, and whether it can work."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from compox_core.engine import Engine
from compox_core.errors import StorageError
from compox_http import readiness
from tests.http.serving import Wire, served, settings_for


def test_a_server_that_can_work_says_so(wire: Wire) -> None:
    """Both say ok."""
    for path in ("/livez", "/readyz"):
        answer = wire.http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_store_that_is_gone_is_told_and_one_that_is_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server lives on meanwhile."""
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    store, away = tmp_path / "store", tmp_path / "away"
    with Engine(settings_for("local", store)) as engine, served(engine) as url:
        wire = Wire(url)
        assert wire.http.get("/readyz").status_code == 200
        shutil.move(store, away)
        answer = wire.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.json()["retryable"] is True and str(tmp_path) not in answer.text
        assert wire.http.get("/livez").status_code == 200
        refused = wire.http.post("/api/v0/files", content=b"anything")
        assert (refused.status_code, refused.json()["code"]) == (500, "storage_unavailable")
        assert not store.exists(), "nothing is written beside a store that is away"
        shutil.move(away, store)
        assert wire.http.get("/readyz").status_code == 200
        wire.close()


def test_a_store_that_hangs_holds_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked for."""
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.05)
    go_on, asked = threading.Event(), []

    def hang(engine: Engine) -> None:
        asked.append(1)
        assert go_on.wait(30)

    with Engine(settings_for("memory", tmp_path)) as engine, served(engine) as url:
        wire = Wire(url)
        monkeypatch.setattr(Engine, "ping", hang)
        for _ in range(5):
            assert wire.http.get("/readyz").status_code == 503
        assert len(asked) == 1
        go_on.set()
        for _ in range(100):
            if wire.http.get("/readyz").status_code == 200:
                break
        assert wire.http.get("/readyz").status_code == 200
        wire.close()


def test_ping_asks_the_store() -> None:
    """An engine whose store is gone says so."""
    with Engine("memory://") as engine:
        engine.ping()
        engine.store.delete("system-store", "format")
        with pytest.raises((StorageError, LookupError)):
            engine.ping()

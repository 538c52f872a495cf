"""What waits for the store does not keep others waiting."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


def test_the_status_of_a_run_does_not_wait_for_slow_requests(
    wire: Wire, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While forty requests hang in the store, a live run is followed and files come and go."""
    execution_id = wire.execute("endless", [])
    hanging, released = threading.Semaphore(0), threading.Event()
    real = engine.algorithms.get

    def slow(name: str, major: str | None = None) -> object:
        hanging.release()
        assert released.wait(60)
        return real(name, major)

    monkeypatch.setattr(engine.algorithms, "get", slow)
    with ThreadPoolExecutor(40) as pool:
        try:
            waiting = [pool.submit(Wire(wire.url).algorithm_id, "double") for _ in range(40)]
            for _ in waiting:
                assert hanging.acquire(timeout=60)
            assert wire.record(execution_id)["status"] in ("PENDING", "STARTED", "RUNNING")
            assert wire.http.post(f"{API}/executions/{execution_id}/stop").status_code == 200
            assert wire.finish(execution_id)["status"] == "STOPPED"
        finally:
            released.set()
        assert len({future.result() for future in waiting}) == 1


def test_a_run_of_long_ago_is_read_from_the_store(wire: Wire, engine: Engine, content: bytes) -> None:
    """What is no longer live has the same record."""
    execution_id = wire.execute("double", [wire.upload(content)])
    live = wire.finish(execution_id)
    desk = engine.executions._desk
    for _ in range(1000):
        if not desk.live.get(execution_id).unsaved:  # type: ignore[union-attr]
            break
        threading.Event().wait(0.01)
    desk.live.forget(execution_id)
    assert engine.executions.live(execution_id) is None
    assert wire.record(execution_id) == live

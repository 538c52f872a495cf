"""Who sweeps a store that is served: every so often, whatever goes wrong, until it is told to end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import compox_core as cx
from compox_core.errors import StorageError
from compox_core.jobs.retention import Janitor, Report, Retention
from compox_core.jobs.retention.ages import AGES_KEY
from compox_core.settings.models import Storage
from compox_core.storage import FILES, SYSTEM, ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.steps import Hooked
from tests.jobs.aged import own_machine, put_file

DEADLINE = 60.0
OLD = timedelta(days=2)


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def is_swept(store: ObjectStore, file_id: str) -> bool:
    return not store.exists(FILES, file_id)


def test_it_sweeps_again_and_again() -> None:
    """What grows old after the first sweep goes with a later one; the ages stand in the store."""
    store = MemoryStore()
    janitor = Janitor(Retention(store, Storage()), 0.01)
    janitor.start()
    for _ in range(3):
        old, young = put_file(store, OLD), put_file(store)
        until(lambda old=old: is_swept(store, old))  # type: ignore[misc]
        assert store.exists(FILES, young)
    janitor.close()
    assert store.exists(SYSTEM, AGES_KEY)
    left = put_file(store, OLD)
    assert not any(thread.name == "compox-janitor" for thread in threading.enumerate())
    assert store.exists(FILES, left)


def test_an_error_is_logged_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A store that fails, and then anything else that goes wrong, is tried again."""
    errors: list[Exception] = [StorageError("no answer", retryable=True), ZeroDivisionError("a defect")]

    def fail(name: str, action: Callable[[], object]) -> object:
        if errors:
            raise errors.pop(0)
        return action()

    store = MemoryStore()
    old = put_file(store, OLD)
    janitor = Janitor(Retention(Hooked(store, fail), Storage()), 0.01)
    with caplog.at_level(logging.WARNING, logger="compox_core.jobs.retention"):
        janitor.start()
        until(lambda: is_swept(store, old))
    janitor.close()
    assert "no answer" in caplog.text
    assert "a defect" in caplog.text


def test_a_log_handler_that_raises_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an algorithm did to `logging` does not keep a store from being swept."""

    def broken(*_: object) -> None:
        raise RuntimeError("no log")

    monkeypatch.setattr("compox_core.jobs.retention.janitor.logger.log", broken)
    store = MemoryStore()
    janitor = Janitor(Retention(store, Storage()), 0.01)
    janitor.start()
    for _ in range(2):
        old = put_file(store, OLD)
        until(lambda old=old: is_swept(store, old))  # type: ignore[misc]
    janitor.close()


def test_closing_ends_a_sweep_that_goes_on() -> None:
    """The sweep ends with the object that it is at; nothing is removed afterwards, and no announcement stays."""
    store = MemoryStore()
    for _ in range(50):
        put_file(store, OLD)
    at_work, go_on = threading.Event(), threading.Event()

    def halt(name: str, action: Callable[[], object]) -> object:
        if name.startswith(f"delete {FILES}"):
            at_work.set()
            assert go_on.wait(DEADLINE)
        return action()

    janitor = Janitor(Retention(Hooked(store, halt), Storage()), 0.01)
    janitor.start()
    assert at_work.wait(DEADLINE)
    closing = threading.Thread(target=janitor.close)
    closing.start()
    until(lambda: janitor._closed.is_set())
    go_on.set()
    closing.join(DEADLINE)
    assert not closing.is_alive()
    assert len(list(store.list(FILES))) == 49
    assert [info.key for info in store.list(SYSTEM)] == [AGES_KEY]


def test_it_waits_before_its_first_sweep() -> None:
    """Closing before that ends it at once, and it never looked."""
    store = MemoryStore()
    old = put_file(store, OLD)
    janitor = Janitor(Retention(store, Storage()), 3600.0)
    janitor.start()
    janitor.close()
    assert store.exists(FILES, old)
    assert list(store.list(SYSTEM)) == []


def test_closing_what_was_not_started() -> None:
    """It is no error."""
    Janitor(Retention(MemoryStore(), Storage()), 1.0).close()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files and a module cache of this test's own."""
    return own_machine(tmp_path, monkeypatch)


class TestEngine:
    def test_a_server_sweeps(self, tmp_path: Path) -> None:
        """An engine that serves sweeps by its settings; files that are asked for stay."""
        settings = {
            "storage": {"backend_settings": {"path": str(tmp_path / "store")}},
            "inference": {"queue": {"sweep_seconds": 0.05}, "backend_settings": {"executor": "threads"}},
        }
        with cx.Engine(settings, resume=True) as engine:
            old, young = put_file(engine.store, OLD), put_file(engine.store)
            until(lambda: is_swept(engine.store, old))
            assert engine.store.exists(FILES, young)
        assert not any(thread.name == "compox-janitor" for thread in threading.enumerate())

    def test_a_notebook_sweeps_when_it_is_asked_to(self, tmp_path: Path) -> None:
        """No thread starts by itself; `gc` does it, and says before what it would do."""
        with cx.Engine(tmp_path / "store") as engine:
            old = put_file(engine.store, OLD)
            assert not any(thread.name == "compox-janitor" for thread in threading.enumerate())
            shares: list[float] = []
            told = engine.gc(dry_run=True, progress=shares.append)
            assert (told.count, told.bytes, shares[-1]) == (1, 4, pytest.approx(1.0))
            assert engine.store.exists(FILES, old)
            done = engine.gc()
            assert isinstance(done, Report)
            assert (done.removed, done.dry_run) == (told.removed, False)
            assert is_swept(engine.store, old)
            with pytest.raises(cx.NotFoundError):
                engine.files.read(old)

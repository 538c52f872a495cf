"""gc."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

import compox_core as cx
from tests.cli.conftest import Shell, answer


def grow_old(store: Path, days: int) -> None:
    """Let everything in a store have been written so many days ago."""
    then = time.time() - days * 86400 - 60
    for path in store.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


@pytest.fixture(autouse=True)
def temporary(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files of this test's own."""
    (home / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home / "temporary"))


@pytest.fixture
def used(shell: Shell, store: Path, coins: Path) -> Path:
    """A store in which an algorithm has run, three days ago."""
    assert shell("run", "scaling", coins, "-o", "out.tif", "--store", store).exit_code == 0
    grow_old(store, 3)
    return store


def content(store: Path) -> dict[Path, bytes]:
    """Return every file of a store but for what an engine makes when it opens it."""
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file() and ".tmp" not in path.parts}


def test_what_has_expired_goes(shell: Shell, used: Path) -> None:
    """A table says what was removed from where; a second time there is nothing to remove."""
    done = shell("gc", "--store", used)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["from", "what", "removed", "size"]
    assert ["data-store", "expired", "files", "2"] in [line[:4] for line in lines]
    assert lines[-1][:2] == ["total", "2"]
    again = shell("gc", "--store", used)
    assert (again.exit_code, again.stdout) == (0, "Nothing removed.\n")
    with cx.Engine(used) as engine:
        assert len(list(engine.executions.list())) == 1
        assert list(engine.files.list()) == []


def test_a_dry_run_removes_nothing(shell: Shell, used: Path) -> None:
    """It tells what would go, and leaves every byte of the store as it is."""
    before = content(used)
    done = shell("gc", "--dry-run", "--store", used)
    assert done.exit_code == 0
    assert "would be removed" in done.stdout
    assert content(used) == before
    told = answer(shell("gc", "--dry-run", "--json", "--store", used))
    assert (told["dry_run"], told["count"]) == (True, 2)
    assert content(used) == before
    gone = answer(shell("gc", "--json", "--store", used))
    assert gone == {**told, "dry_run": False}


def test_the_ages_are_those_of_the_configuration(shell: Shell, used: Path, home: Path) -> None:
    """What a configuration keeps longer stays, and so does what the store's server keeps longer."""
    config = home / "config.yaml"
    text = f"storage:\n  data_store_expire_days: 5\n  backend_settings: {{path: '{used}'}}\n"
    config.write_text(text, "utf-8")
    assert answer(shell("gc", "--json", "--config", config))["count"] == 0
    with cx.Engine(cx.load_settings(config), resume=True, executor="threads") as server:
        server._open_parts.retention.tell_ages()
    assert answer(shell("gc", "--json", "--store", used))["count"] == 0
    grow_old(used, 6)
    assert answer(shell("gc", "--json", "--store", used))["count"] == 2


def test_what_is_kept_is_told(shell: Shell, used: Path) -> None:
    """On stderr, with the reason."""
    with cx.Engine(used) as engine:
        engine.store.put("execution-store", "queue/waiting.job", b"{}")
        engine.store.put("stop-requests", "waiting", b"{}")
    grow_old(used, 8)
    os.utime(used / "execution-store" / "queue" / "waiting.job")
    done = shell("gc", "--store", used)
    assert "Kept 1 stop requests of stop-requests: the job has not ended." in done.stderr


def test_what_could_not_be_done_is_the_exit_code(shell: Shell, used: Path) -> None:
    """A broken version keeps the contents; the rest is done, the command says so and fails."""
    (broken,) = list((used / "algorithm-store").rglob("minor-*"))[:1]
    broken.write_bytes(b"?")
    done = shell("gc", "--store", used)
    assert done.exit_code == 1
    assert "total" in done.stdout
    assert "is broken" in done.stderr and "Traceback" not in done.stderr
    told = answer(shell("gc", "--json", "--store", used))
    assert len(told["problems"]) == 1


def test_a_store_that_is_not_there_is_an_error(shell: Shell, home: Path) -> None:
    """A misspelt store is not made, and not empty."""
    done = shell("gc", "--store", home / "nowhere")
    assert done.exit_code == 1
    assert "There is no store" in done.stderr
    assert not (home / "nowhere").exists()

"""What every store guarantees to many writers at once, and after the death of one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import ConflictError, NotFoundError, StorageError
from compox_core.storage import FILES, ObjectStore
from tests.contracts.backdoor import Backdoor

ROOT = Path(__file__).parent.parent.parent
CREATORS = 16


class RacesContract:
    """Threads, processes, and processes that are killed."""

    part = 1024  # bytes; some multiple of this makes the store write in parts
    processes = CREATORS

    @pytest.fixture
    def opened(self) -> dict[str, Any] | None:
        """The arguments by which another process opens the same store; None when it cannot."""
        return None

    def test_one_of_many_threads_creates(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Of 16 threads that create a key exactly one succeeds, and its object is the one that stays."""
        barrier = threading.Barrier(CREATORS)

        def create(number: int, key: str) -> bytes | None:
            data = bytes([number]) * (100 + number)
            barrier.wait()
            try:
                if number % 2:
                    store.create(FILES, key, data)
                else:
                    with store.write(FILES, key, exclusive=True) as stream:
                        stream.write(data)
            except ConflictError:
                return None
            return data

        for round_ in range(5):
            key = f"r/{round_}"
            with ThreadPoolExecutor(CREATORS) as pool:
                won = [data for data in pool.map(create, range(CREATORS), [key] * CREATORS) if data]
            assert len(won) == 1
            assert backdoor.read(FILES, key) == won[0]
        assert backdoor.everything(FILES) == {f"r/{round_}" for round_ in range(5)}

    def test_a_reader_sees_whole_objects_only(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A reader that spins while an object is created and replaced sees nothing or one whole version."""
        sizes = (1, 300_000, 77)
        versions = {number: bytes([number]) * sizes[number % 3] for number in range(1, 25)}
        done = threading.Event()
        has_read = {name: threading.Event() for name in ("get", "stream", "stat")}

        def spin(name: str, read: Callable[[], bytes]) -> None:
            while not done.is_set():
                try:
                    data = read()
                except NotFoundError:
                    assert not has_read[name].is_set(), "an object that was there is gone"
                except StorageError as error:
                    assert error.code == "object_changed"
                else:
                    assert data == versions[data[0]]
                    has_read[name].set()

        def streamed() -> bytes:
            with store.open(FILES, "a/k") as stream:
                return stream.read()

        with ThreadPoolExecutor(3) as pool:
            readers = [
                pool.submit(spin, "get", lambda: store.get(FILES, "a/k")),
                pool.submit(spin, "stream", streamed),
                pool.submit(spin, "stat", lambda: versions[_number_of(versions, store.stat(FILES, "a/k").size)]),
            ]
            try:
                store.create(FILES, "a/k", versions[1])
                for number in range(2, 24):
                    store.put(FILES, "a/k", versions[number])
                    if number == 12:  # half of the versions are written under the eyes of every reader
                        assert all(read.wait(60) for read in has_read.values())
                with store.write(FILES, "a/k") as stream:
                    stream.write(versions[24])
            finally:
                done.set()
            for reader in readers:
                reader.result()
        assert backdoor.read(FILES, "a/k") == versions[24]

    def test_threads_on_keys_of_their_own(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """Threads that write, list and delete in one folder do not disturb each other."""

        def work(number: int) -> None:
            for turn in range(5):
                key = f"shared/{number}/{turn}"
                store.create(FILES, key, key.encode())
                store.put(FILES, key, key.encode() * 2)
                assert store.get(FILES, key) == key.encode() * 2
                assert [info.key for info in store.list(FILES, key)] == [key]
                assert store.delete(FILES, key)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert backdoor.everything(FILES) == set()

    def test_one_of_many_processes_creates(
        self, store: ObjectStore, backdoor: Backdoor, opened: dict[str, Any] | None
    ) -> None:
        """Of 16 creators in processes one has each key, and a reader meanwhile sees whole objects only."""
        if opened is None:
            assert not store.shared
            return
        assert store.shared
        keys = [f"race/{number}" for number in range(8)]
        children = [
            _child(opened, "create", keys, bytes([number]) * 20_000, threads=CREATORS // self.processes)
            for number in range(self.processes)
        ]
        try:
            for child in children:
                assert _line(child) == "ready"
            for child in children:
                _say(child, "go")
            waiting = set(keys)
            while waiting and any(child.poll() is None for child in children):
                for key in list(waiting):
                    try:
                        data = store.get(FILES, key)
                    except NotFoundError:
                        continue
                    assert data == data[:1] * 20_000
                    waiting.discard(key)
            won = [json.loads(_line(child)) for child in children]
        finally:
            for child in children:
                child.kill()
                child.communicate()
        assert sorted(key for mine in won for key in mine) == sorted(keys)
        for number, mine in enumerate(won):
            for key in mine:
                assert backdoor.read(FILES, key) == bytes([number]) * 20_000

    # Dead writers

    def test_a_writer_killed_before_the_end_leaves_nothing(
        self, store: ObjectStore, backdoor: Backdoor, opened: dict[str, Any] | None
    ) -> None:
        """A process killed in the middle of a stream leaves no object, and nobody has to clean up after it."""
        if opened is None:
            return
        child = _child(opened, "stream", ["k"], b"x" * self.part * 20)
        try:
            assert _line(child) == "ready"
            _say(child, "go")
            assert _line(child) == "written"
        finally:
            child.kill()
            child.communicate()
        assert not store.exists(FILES, "k")
        assert list(store.list(FILES)) == []
        assert backdoor.read(FILES, "k") is None
        store.create(FILES, "k", b"mine")
        assert backdoor.read(FILES, "k") == b"mine"

    def test_what_was_acknowledged_survives_a_kill(
        self, store: ObjectStore, backdoor: Backdoor, opened: dict[str, Any] | None
    ) -> None:
        """A process killed while it writes one object after the other has left whole objects, all it knew written."""
        if opened is None:
            return
        keys = [f"k{number}" for number in range(400)]
        child = _child(opened, "put", keys, b"x" * 50_000)
        try:
            assert _line(child) == "ready"
            _say(child, "go")
            known = [_line(child) for _ in range(10)]
        finally:
            child.kill()
            known += child.communicate()[0].split()
        for key in known:
            assert backdoor.read(FILES, key) == b"x" * 50_000
        for info in store.list(FILES):
            assert backdoor.read(FILES, info.key) == b"x" * 50_000


def _number_of(versions: dict[int, bytes], size: int) -> int:
    return next(number for number, data in versions.items() if len(data) == size)


def _child(
    opened: dict[str, Any], command: str, keys: list[str], data: bytes, *, threads: int = 1
) -> subprocess.Popen[str]:
    said = {"opened": opened, "command": command, "keys": keys, "threads": threads}
    arguments = json.dumps({**said, "data": data.hex()[:2], "size": len(data)})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contracts.store_child", arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def _say(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    child.stdin.write(word + "\n")
    child.stdin.flush()

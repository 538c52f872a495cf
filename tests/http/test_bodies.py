"""Streams that end in the middle of a write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from compox_core.errors import StorageError
from compox_http.bodies import CHUNK_BYTES, Spool, receive_file
from compox_http.threads import Threads


def test_a_cancelled_upload_waits_for_its_thread_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own end comes while a chunk is being written: the file still goes."""
    writing, released = threading.Event(), threading.Event()
    real = Spool.write

    def slow(self: Spool, parts: list[bytes]) -> None:
        writing.set()
        assert released.wait(30)
        real(self, parts)

    monkeypatch.setattr(Spool, "write", slow)

    async def scenario() -> None:
        threads = Threads()
        upload = asyncio.create_task(receive_file(endless(), tmp_path / "scratch", threads))
        await asyncio.to_thread(writing.wait, 30)
        upload.cancel()
        await asyncio.sleep(0)
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await upload
        threads.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_an_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the store's, and nothing stays."""

    def full(self: Spool, parts: list[bytes]) -> None:
        self.path.touch()
        raise StorageError("The disk is full.", code="disk_full")

    monkeypatch.setattr(Spool, "write", full)

    async def scenario() -> None:
        threads = Threads()
        with pytest.raises(StorageError):
            await receive_file(endless(), tmp_path / "scratch", threads)
        threads.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


async def endless() -> AsyncIterator[bytes]:
    """Yield chunks for as long as somebody takes them."""
    while True:
        yield bytes(CHUNK_BYTES)
        await asyncio.sleep(0)

"""The memory store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compox_core.errors import StateError
from compox_core.storage import FILES, ObjectStore, open_store
from compox_core.storage.memory import MemoryStore
from tests.contracts.object_store import Backdoor, ObjectStoreContract


class MemoryBackdoor(Backdoor):
    """The store's own dictionaries, which is all there is beside its methods."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def write(self, collection: str, key: str, data: bytes) -> None:
        self.store.put(collection, key, data)

    def read(self, collection: str, key: str) -> bytes | None:
        values = self.store._collections.get(collection)
        value = values.values.get(key) if values else None
        return value.data if value else None

    def everything(self, collection: str) -> set[str]:
        values = self.store._collections.get(collection)
        return set(values.values) if values else set()


class TestMemoryStore(ObjectStoreContract):
    """The contract in memory."""

    @pytest.fixture
    def store(self) -> Iterator[ObjectStore]:
        with open_store("memory://") as store:
            yield store

    @pytest.fixture
    def backdoor(self, store: MemoryStore) -> Backdoor:
        return MemoryBackdoor(store)


def test_each_memory_store_is_alone() -> None:
    """Two stores at memory:// share nothing."""
    one, other = open_store("memory://"), open_store("memory://")
    one.put(FILES, "k", b"1")
    assert not other.exists(FILES, "k")


def test_a_read_copies_nothing() -> None:
    """The value that was put is the very value that is got."""
    store = open_store("memory://")
    data = b"x" * 1000
    store.put(FILES, "k", data)
    assert store.get(FILES, "k") is data


def test_what_is_put_cannot_be_changed_from_outside() -> None:
    """A buffer that its owner changes after `put` does not change the object."""
    store = open_store("memory://")
    buffer = bytearray(b"before")
    store.put(FILES, "k", buffer)  # type: ignore[arg-type]
    buffer[:] = b"after!"
    assert store.get(FILES, "k") == b"before"
    with store.open(FILES, "k") as stream:
        stream.write(b"scrawl")
    assert store.get(FILES, "k") == b"before"


def test_readers_of_one_object_do_not_share_a_position() -> None:
    """Two streams over one object are independent."""
    store = open_store("memory://")
    store.put(FILES, "k", b"abcdef")
    with store.open(FILES, "k") as one, store.open(FILES, "k") as other:
        assert one.read(3) == b"abc"
        assert other.read(2) == b"ab"
        assert one.read() == b"def"


def test_a_closed_memory_store_says_so() -> None:
    """After `close` the objects are gone, and a use is an error, not an empty store."""
    store = open_store("memory://")
    store.put(FILES, "k", b"1")
    store.close()
    for use in (lambda: store.get(FILES, "k"), lambda: store.put(FILES, "k", b""), lambda: store.list(FILES)):
        with pytest.raises(StateError) as caught:
            use()
        assert caught.value.code == "store_closed"

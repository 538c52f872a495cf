"""What every store does with single objects and their keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.identity import utc_now
from compox_core.storage import ASSETS, FILES, ObjectStore
from tests.contracts.backdoor import Backdoor

ILL_FORMED = [
    "",
    "/",
    "/etc/passwd",
    "a//b",
    "a/",
    ".",
    "..",
    "../a",
    "a/../../b",
    "a/./b",
    ".tmp",
    ".tmp-1",
    "a/.tmp/b",
    "a.",
    "a b",
    "a\\b",
    "C:\\a",
    "C:a",
    "a\0b",
    "a\n",
    "ä",
    "a?versionId=1",
    "con",
    "nul.txt",
    "a/COM1/b",
    "x" * 256,
    "x/" * 256 + "x",
]


class ObjectsContract:
    """Writing, reading and deleting one object."""

    def test_put_writes_exactly_the_bytes(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """What `put` is given lies in the store afterwards, byte for byte."""
        for data in (b"", b"\0\xff\r\n", bytes(range(256)) * 300):
            store.put(FILES, "a/b", data)
            assert backdoor.read(FILES, "a/b") == data

    def test_get_reads_what_lies_there(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """`get` and `open` return what was laid down past the store."""
        backdoor.write(FILES, "a/b", b"laid down")
        assert store.get(FILES, "a/b") == b"laid down"
        with store.open(FILES, "a/b") as stream:
            assert stream.read() == b"laid down"

    def test_put_replaces(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """A second `put` leaves only its own bytes."""
        backdoor.write(FILES, "k", b"a longer text than the next")
        store.put(FILES, "k", b"next")
        assert backdoor.read(FILES, "k") == b"next"

    def test_create_takes_a_free_key_only(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """`create` writes where nothing is, and refuses and changes nothing where something is, even when equal."""
        store.create(FILES, "new", b"first")
        assert backdoor.read(FILES, "new") == b"first"
        for data in (b"first", b"second"):
            with pytest.raises(ConflictError) as caught:
                store.create(FILES, "new", data)
            assert caught.value.code == "object_exists"
            assert caught.value.details == {"collection": FILES, "key": "new"}
        assert backdoor.read(FILES, "new") == b"first"
        assert backdoor.everything(FILES) == {"new"}

    def test_the_same_key_lives_in_each_collection(self, store: ObjectStore) -> None:
        """Collections do not see each other."""
        store.put(FILES, "k", b"file")
        store.create(ASSETS, "k", b"asset")
        assert (store.get(FILES, "k"), store.get(ASSETS, "k")) == (b"file", b"asset")
        assert store.delete(FILES, "k")
        assert store.exists(ASSETS, "k")

    @pytest.mark.parametrize("key", ["missing", "a/missing", "a/b/missing", "file/below", "folder"])
    def test_what_is_not_there_is_not_found(self, store: ObjectStore, backdoor: Backdoor, key: str) -> None:
        """Every way of reading says of a missing object that it is not there, also beside and below others."""
        backdoor.write(FILES, "file", b"1")
        backdoor.write(FILES, "folder/file", b"1")
        for read in (store.get, store.open, store.stat):
            with pytest.raises(NotFoundError) as caught:
                read(FILES, key)
            assert caught.value.code == "object_not_found"
            assert caught.value.details == {"collection": FILES, "key": key}
        assert not store.exists(FILES, key)
        assert not store.delete(FILES, key)

    def test_delete_removes_once(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """`delete` says whether there was something, and nothing stays; the key can be created again."""
        backdoor.write(FILES, "a/b/c", b"1")
        assert store.delete(FILES, "a/b/c") is True
        assert store.delete(FILES, "a/b/c") is False
        assert backdoor.everything(FILES) == set()
        store.create(FILES, "a/b", b"2")
        assert backdoor.read(FILES, "a/b") == b"2"

    def test_stat_tells_size_time_and_version(self, store: ObjectStore, backdoor: Backdoor) -> None:
        """The size is in bytes, the time now in UTC, and the version changes with the content."""
        store.put(FILES, "k", b"12345")
        first = store.stat(FILES, "k")
        assert (first.key, first.size, first.modified.tzinfo) == ("k", 5, UTC)
        assert abs(first.modified - utc_now()) < timedelta(minutes=1)
        store.put(FILES, "k", b"67890")
        assert store.stat(FILES, "k").version != first.version
        backdoor.write(FILES, "k", b"123")
        assert store.stat(FILES, "k").size == 3
        assert [info.version for info in store.list(FILES)] == [store.stat(FILES, "k").version]

    # Keys

    @pytest.mark.parametrize("key", ILL_FORMED)
    def test_an_ill_formed_key_is_refused(
        self, store: ObjectStore, backdoor: Backdoor, key: str, tmp_path: Path
    ) -> None:
        """A key that is not well-formed cannot be written, and reads as not there; nothing is touched."""
        source = tmp_path / "source"
        source.write_bytes(b"1")
        writes: list[Callable[[], object]] = [
            lambda: store.put(FILES, key, b"1"),
            lambda: store.create(FILES, key, b"1"),
            lambda: store.put_file(FILES, key, source, consume=True),
            lambda: store.write(FILES, key).__enter__(),
        ]
        for write in writes:
            with pytest.raises(InvalidInputError) as caught:
                write()
            assert caught.value.code == "invalid_key"
        for read in (store.get, store.open, store.stat):
            with pytest.raises(NotFoundError):
                read(FILES, key)
        assert not store.exists(FILES, key)
        assert not store.delete(FILES, key)
        assert backdoor.everything(FILES) == set()
        assert source.exists()

    @pytest.mark.parametrize("collection", ["", ".", "..", "a/b", "../x", "Upper", "a_b", "-a", "x" * 64])
    def test_an_ill_formed_collection_is_refused(self, store: ObjectStore, collection: str) -> None:
        """A name that cannot be a collection's is an error however it is used."""
        for use in (store.get, store.stat, lambda c, k: store.put(c, k, b""), lambda c, k: list(store.list(c, k))):
            with pytest.raises(InvalidInputError) as caught:
                use(collection, "k")
            assert caught.value.code == "invalid_collection"

    @pytest.mark.parametrize("key", ["a", "A-Z_09.x", "...a", "a/b/c/d/e", "x" * 255, "con1", "-", "_", ".hidden"])
    def test_a_well_formed_key_is_taken(self, store: ObjectStore, backdoor: Backdoor, key: str) -> None:
        """Any well-formed key can be written, read, listed and deleted."""
        store.create(FILES, key, b"1")
        assert store.get(FILES, key) == b"1"
        assert [info.key for info in store.list(FILES)] == [key]
        assert store.delete(FILES, key)
        assert backdoor.everything(FILES) == set()

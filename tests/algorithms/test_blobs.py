"""Blobs: stored once, reused, never taken from under a version that names them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from compox_core.algorithms.blobs import PINS, TOMBSTONES, Blob, BlobStore
from compox_core.errors import ConflictError, InvalidInputError, StorageError
from compox_core.storage.collections import ALGORITHMS, ASSETS, SYSTEM
from compox_core.storage.memory import MemoryStore
from compox_core.storage.objects import ObjectStore
from tests.algorithms.packages import digest
from tests.algorithms.steps import Actor, Explorer, Hooked, repeatable_names

DATA = b"weights"
SHA = digest(DATA)
OLD = Blob(ASSETS, SHA)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that holds DATA."""
    path = tmp_path / "weights.bin"
    path.write_bytes(DATA)
    return path


def keys(store: ObjectStore, collection: str, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(collection, prefix)]


def nothing_named(blobs: Collection[Blob]) -> set[Blob]:
    return set()


class TestWriter:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_a_content_is_stored_once_under_its_hash(self, store: ObjectStore, file: Path) -> None:
        """Two writers of one content name the same blob, and no pin stays behind."""
        blobs = BlobStore(store)
        for _ in range(2):
            with blobs.writer([SHA]) as writer:
                assert writer.put(ASSETS, SHA, len(DATA), file) == OLD
        assert keys(store, ASSETS) == [SHA]
        assert store.get(ASSETS, SHA) == DATA
        assert keys(store, SYSTEM, PINS) == []

    def test_only_the_writer_that_stored_a_blob_says_so(self, store: ObjectStore, file: Path) -> None:
        """`stored` holds what this writer brought, not what it reused."""
        blobs = BlobStore(store)
        with blobs.writer([SHA]) as first:
            first.put(ASSETS, SHA, len(DATA), file)
        with blobs.writer([SHA]) as second:
            second.put(ASSETS, SHA, len(DATA), file)
        assert (first.stored, second.stored) == ({OLD}, set())

    @pytest.mark.parametrize("content", [b"WEIGHTS", b"", b"weights and more"])
    def test_a_file_that_changed_is_refused(self, store: ObjectStore, file: Path, content: bytes) -> None:
        """What is stored is hashed on its way; a file that is not what it was leaves nothing behind."""
        file.write_bytes(content)
        with (
            pytest.raises(InvalidInputError) as caught,
            BlobStore(store).writer([SHA]) as writer,
        ):
            writer.put(ASSETS, SHA, len(DATA), file)
        assert caught.value.code == "content_changed"
        assert str(file) in caught.value.message
        assert keys(store, ASSETS) == keys(store, SYSTEM) == []

    def test_a_file_that_went_away_is_refused(self, store: ObjectStore, file: Path) -> None:
        """A missing file is an error that names it, not one of the operating system."""
        file.unlink()
        with (
            pytest.raises(InvalidInputError, match=r"weights\.bin") as caught,
            BlobStore(store).writer([SHA]) as writer,
        ):
            writer.put(ASSETS, SHA, len(DATA), file)
        assert caught.value.code == "content_changed"

    def test_a_content_with_a_tombstone_goes_under_a_fresh_key(self, store: ObjectStore, file: Path) -> None:
        """A writer keeps off a blob that is being collected, and the next one reuses what the first stored."""
        with BlobStore(store).writer([SHA]) as writer:
            writer.put(ASSETS, SHA, len(DATA), file)
        store.create(SYSTEM, f"{TOMBSTONES}{ASSETS}/{SHA}", b"")
        found = []
        for _ in range(2):
            with BlobStore(store).writer([SHA]) as writer:
                found.append(writer.put(ASSETS, SHA, len(DATA), file))
        assert found[0] == found[1] != OLD
        assert found[0].sha256 == SHA
        assert store.get(*found[0]) == DATA

    def test_a_damaged_blob_is_not_reused(self, store: ObjectStore, file: Path) -> None:
        """A blob whose size is wrong is left alone and the content stored beside it."""
        store.put(ASSETS, SHA, b"half")
        with BlobStore(store).writer([SHA]) as writer:
            blob = writer.put(ASSETS, SHA, len(DATA), file)
        assert blob != OLD
        assert store.get(*blob) == DATA

    def test_only_pinned_contents_can_be_put(self, store: ObjectStore, file: Path) -> None:
        """A writer that forgot to announce a content is told so at once."""
        with pytest.raises(ValueError, match="not pinned"), BlobStore(store).writer([]) as writer:
            writer.put(ASSETS, SHA, len(DATA), file)

    def test_the_pin_stays_when_the_outcome_is_unknown(self, store: ObjectStore) -> None:
        """After a storage error a lost request may still publish, so its contents stay pinned."""
        with pytest.raises(StorageError), BlobStore(store).writer([SHA]):
            raise StorageError("the answer was lost")
        assert len(keys(store, SYSTEM, PINS)) == 1

    def test_racing_writers_of_one_content_share_a_blob(self, store: ObjectStore, file: Path) -> None:
        """Eight threads that store the same content at once name one blob."""
        found: list[Blob] = []
        barrier = threading.Barrier(8)

        def write() -> None:
            barrier.wait()
            with BlobStore(store).writer([SHA]) as writer:
                found.append(writer.put(ASSETS, SHA, len(DATA), file))

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [OLD] * 8
        assert keys(store, ASSETS) == [SHA]


class TestCollector:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_a_blob_that_nobody_names_goes(self, store: ObjectStore) -> None:
        """A collection deletes the blob and takes its tombstone away again."""
        store.put(ASSETS, SHA, DATA)
        assert BlobStore(store).collect([OLD], nothing_named) == {OLD}
        assert keys(store, ASSETS) == keys(store, SYSTEM) == []

    def test_a_blob_that_a_version_names_stays(self, store: ObjectStore) -> None:
        """`named` decides, and is asked about candidates only."""
        store.put(ASSETS, SHA, DATA)
        assert BlobStore(store).collect([OLD], set) == set()
        assert store.get(ASSETS, SHA) == DATA
        assert keys(store, SYSTEM) == []

    @pytest.mark.parametrize("blob", [OLD, Blob(ASSETS, f"{SHA}.0123")])
    def test_a_pinned_content_stays(self, store: ObjectStore, blob: Blob) -> None:
        """A pin protects every blob of its content."""
        store.put(*blob, DATA)
        with BlobStore(store).writer([SHA]):
            assert BlobStore(store).collect([blob], nothing_named) == set()
        assert store.get(*blob) == DATA

    def test_a_tombstone_of_another_collector_is_left_alone(self, store: ObjectStore) -> None:
        """Several collectors may delete one blob; each removes its own tombstone only."""
        store.put(ASSETS, SHA, DATA)
        other = f"{TOMBSTONES}other/{ASSETS}/{SHA}"
        store.create(SYSTEM, other, b"")
        assert BlobStore(store).collect([OLD], nothing_named) == {OLD}
        assert keys(store, ASSETS) == []
        assert keys(store, SYSTEM) == [other]

    def test_what_cannot_be_told_is_not_collected(self, store: ObjectStore) -> None:
        """When the versions cannot be read nothing is deleted and no tombstone stays."""

        def fail(blobs: Collection[Blob]) -> set[Blob]:
            raise StorageError("a version cannot be read")

        store.put(ASSETS, SHA, DATA)
        with pytest.raises(StorageError):
            BlobStore(store).collect([OLD], fail)
        assert keys(store, ASSETS) == [SHA]
        assert keys(store, SYSTEM) == []

    def test_a_broken_pin_stops_every_collection(self, store: ObjectStore) -> None:
        """A pin that cannot be read may pin anything."""
        store.put(ASSETS, SHA, DATA)
        store.put(SYSTEM, f"{PINS}x", b"not a pin")
        with pytest.raises(StorageError, match="blob-pins/x"):
            BlobStore(store).collect([OLD], nothing_named)
        assert keys(store, ASSETS) == [SHA]

    def test_a_deletion_that_may_come_late_keeps_its_tombstone(self) -> None:
        """Where the answer to a deletion is lost, writers keep off the key for good."""

        def lose(name: str, action: Callable[[], object]) -> object:
            if name.startswith(f"delete {ASSETS}"):
                raise StorageError("the answer was lost")
            return action()

        store = MemoryStore()
        store.put(ASSETS, SHA, DATA)
        with pytest.raises(StorageError):
            BlobStore(Hooked(store, lose)).collect([OLD], nothing_named)
        (tombstone,) = keys(store, SYSTEM, TOMBSTONES)
        assert tombstone.endswith(f"/{ASSETS}/{SHA}")


# Every order of steps. A version is an object of `algorithm-store` that holds the key of the blob it names.


def publish(store: ObjectStore, name: str, blob: Blob) -> None:
    store.create(ALGORITHMS, name, blob.key.encode())


def named_in(store: ObjectStore) -> Callable[[Collection[Blob]], set[Blob]]:
    def named(blobs: Collection[Blob]) -> set[Blob]:
        found = set()
        for info in store.list(ALGORITHMS):
            try:
                found.add(Blob(ASSETS, store.get(ALGORITHMS, info.key).decode()))
            except LookupError:
                continue
        return found.intersection(blobs)

    return named


def writer(file: Path, name: str) -> Actor:
    def act(store: ObjectStore) -> None:
        with BlobStore(store).writer([SHA]) as blobs:
            publish(store, name, blobs.put(ASSETS, SHA, len(DATA), file))

    return act


def collector(name: str) -> Actor:
    def act(store: ObjectStore) -> None:
        blob = Blob(ASSETS, store.get(ALGORITHMS, name).decode())
        store.delete(ALGORITHMS, name)
        BlobStore(store).collect([blob], named_in(store))

    return act


def no_version_lacks_its_blob(store: ObjectStore) -> None:
    for info in store.list(ALGORITHMS):
        key = store.get(ALGORITHMS, info.key).decode()
        assert store.get(ASSETS, key) == DATA, f"{info.key} names {key}"


def nothing_stays_in_the_way(store: ObjectStore) -> None:
    assert keys(store, SYSTEM) == []


def explorer(actors: dict[str, Actor], *old: str) -> Explorer:
    def prepare(store: ObjectStore) -> None:
        if old:
            store.put(ASSETS, SHA, DATA)
        for name in old:
            publish(store, name, OLD)

    return Explorer(prepare, actors, no_version_lacks_its_blob, nothing_stays_in_the_way)


@pytest.fixture
def repeatable() -> Iterator[None]:
    """Random names that repeat."""
    with repeatable_names():
        yield


@pytest.mark.usefixtures("repeatable")
class TestEveryOrder:
    @pytest.mark.parametrize(
        ("writers", "collectors", "limit"),
        [(1, 1, None), (2, 1, None), (1, 2, None), (2, 2, 6000)],  # 2 and 2 have 65,171 states, two minutes
    )
    def test_no_version_ever_names_a_missing_blob(
        self, file: Path, writers: int, collectors: int, limit: int | None
    ) -> None:
        """In no order of the steps of writers and collectors is a blob taken from under a version."""
        actors = {f"w{n}": writer(file, f"new{n}") for n in range(writers)}
        actors |= {f"c{n}": collector(f"old{n}") for n in range(collectors)}
        search = explorer(actors, *(f"old{n}" for n in range(collectors)))
        search.explore(limit)
        assert search.ends > 5

    def test_two_writers_of_a_new_content_store_it_once(self, file: Path) -> None:
        """Without a collector, one blob is all that racing writers ever leave."""

        def stored_once(store: ObjectStore) -> None:
            assert keys(store, ASSETS) == [SHA]
            assert keys(store, SYSTEM) == []

        actors = {"w0": writer(file, "new0"), "w1": writer(file, "new1")}
        Explorer(lambda store: None, actors, no_version_lacks_its_blob, stored_once).explore()

    def test_the_search_finds_a_writer_that_does_not_pin(self, file: Path) -> None:
        """Check-then-reuse, the usual mistake, is caught, so the search above means something."""

        def careless(store: ObjectStore) -> None:
            if not store.exists(ASSETS, SHA):
                store.create(ASSETS, SHA, DATA)
            publish(store, "new", OLD)

        with pytest.raises(LookupError):
            explorer({"w": careless, "c": collector("old")}, "old").explore()

    def test_the_search_finds_a_collector_that_reads_versions_first(self, file: Path) -> None:
        """Reading the versions before the pins is caught too."""

        class Hasty(BlobStore):
            def collect(
                self, blobs: Collection[Blob], named: Callable[[Collection[Blob]], Collection[Blob]]
            ) -> set[Blob]:  # type: ignore[override]
                kept = named(blobs)
                return super().collect(blobs, lambda candidates: kept)

        def hasty(store: ObjectStore) -> None:
            store.delete(ALGORITHMS, "old")
            Hasty(store).collect([OLD], named_in(store))

        with pytest.raises(LookupError):
            explorer({"w": writer(file, "new"), "c": hasty}, "old").explore()


def test_a_writer_of_a_key_that_appears_meanwhile_reuses_it(file: Path) -> None:
    """Losing the race for the exclusive creation of a blob is no error."""

    def race(name: str, action: Callable[[], object]) -> object:
        if name == f"write {ASSETS}/{SHA}":
            store.create(ASSETS, SHA, DATA)
            with pytest.raises(ConflictError):
                action()
        return action()

    store = MemoryStore()
    with BlobStore(Hooked(store, race)).writer([SHA]) as blobs:
        assert blobs.put(ASSETS, SHA, len(DATA), file) == OLD

"""The format marker of a store."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compox_core.errors import StorageError
from compox_core.storage import ALGORITHMS, ALL, FILES, SYSTEM, ObjectStore, initialise, open_store, store_identity


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each local kind, not yet made ready."""
    return open_store("memory://" if request.param == "memory" else tmp_path / "store")


def test_an_empty_store_is_marked(store: ObjectStore) -> None:
    """The marker names the format and its version, and the store itself."""
    initialise(store)
    marker = json.loads(store.get(SYSTEM, "format"))
    assert marker == {"format": "compox-core-store", "version": 1, "id": marker["id"]}
    assert [info.key for name in ALL for info in store.list(name)] == ["format"]


def test_a_marked_store_is_opened_with_all_it_holds(store: ObjectStore) -> None:
    """Making a store ready again changes nothing in it."""
    initialise(store)
    store.put(FILES, "k", b"1")
    version = store.stat(SYSTEM, "format").version
    initialise(store)
    assert store.get(FILES, "k") == b"1"
    assert store.stat(SYSTEM, "format").version == version


def test_a_store_that_holds_something_unmarked_is_refused(store: ObjectStore) -> None:
    """A foreign store is left untouched, and the error says what to do."""
    store.put(ALGORITHMS, "k", b"1")
    with pytest.raises(StorageError, match="bundle") as caught:
        initialise(store)
    assert caught.value.code == "foreign_store"
    assert [(name, info.key) for name in ALL for info in store.list(name)] == [(ALGORITHMS, "k")]


@pytest.mark.parametrize("place", ["algorithm-store/id~name~1/xl.meta", "data-store/loose", ".minio.sys/format.json"])
def test_a_folder_of_another_program_is_refused(tmp_path: Path, place: str) -> None:
    """Files whose names are no keys of ours, as an older installation has them, count too, and nothing is made."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_bytes(b"1")
    with pytest.raises(StorageError) as caught:
        initialise(open_store(tmp_path))
    assert caught.value.code == "foreign_store"
    assert [found.relative_to(tmp_path).as_posix() for found in tmp_path.rglob("*") if found.is_file()] == [place]
    assert sum(1 for _ in tmp_path.iterdir()) == 1


@pytest.mark.parametrize("name", ["notes.txt", "photos/one.png", "algorithm-storage/x"])
def test_a_folder_of_somebody_elses_things_is_refused(name: str, tmp_path: Path) -> None:
    """A folder that holds anything else does not become a store; nothing is written into it."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"1")
    with pytest.raises(StorageError, match="was not made by this program") as caught:
        initialise(open_store(tmp_path))
    assert caught.value.code == "foreign_store"
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_stores_of_several_prefixes_share_a_folder(tmp_path: Path) -> None:
    """Collections of another prefix, and what systems put into every folder, are no hindrance."""
    (tmp_path / ".DS_Store").write_bytes(b"1")
    (tmp_path / "lost+found").mkdir()
    initialise(open_store(tmp_path))
    initialise(open_store(tmp_path, prefix="second-"))
    assert (tmp_path / "second-system-store" / "format").is_file()


def test_a_newer_store_is_refused(store: ObjectStore) -> None:
    """A store of a later version is not touched, and the error names both versions."""
    store.put(SYSTEM, "format", b'{"format": "compox-core-store", "version": 2}')
    with pytest.raises(StorageError, match="version 2") as caught:
        initialise(store)
    assert caught.value.code == "unsupported_store_version"
    assert caught.value.details["supported"] == 1


@pytest.mark.parametrize(
    "marker",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"format": "other", "version": 1}',
        b'{"format": "compox-core-store"}',
        b'{"format": "compox-core-store", "version": "1"}',
        b'{"format": "compox-core-store", "version": 0}',
        b'{"format": "compox-core-store", "version": true}',
    ],
)
def test_a_marker_that_is_none_is_refused(store: ObjectStore, marker: bytes) -> None:
    """An object in the marker's place that says something else is a foreign store."""
    store.put(SYSTEM, "format", marker)
    with pytest.raises(StorageError) as caught:
        initialise(store)
    assert caught.value.code == "foreign_store"
    assert store.get(SYSTEM, "format") == marker


def test_many_may_open_an_empty_store_at_once(store: ObjectStore) -> None:
    """Of several that make a store ready and use it at once none is refused."""
    barrier = threading.Barrier(8)

    def start(number: int) -> None:
        barrier.wait()
        initialise(store)
        store.create(FILES, f"k{number}", b"1")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(8)))
    assert len(list(store.list(FILES))) == 8


def test_a_store_can_be_told_from_others(tmp_path: Path) -> None:
    """It is itself for everybody who opens it; one that is put in its place, or a copy, is another."""
    place, away = tmp_path / "store", tmp_path / "away"
    first = open_store(place)
    initialise(first)
    initialise(open_store(place))
    identity = store_identity(first)
    assert str(place) in identity
    assert store_identity(open_store(place)) == identity
    place.rename(away)
    second = open_store(place)
    initialise(second)
    assert len({identity, store_identity(second), store_identity(open_store(away))}) == 3


def test_a_store_of_an_earlier_marker_is_told_by_its_place(store: ObjectStore) -> None:
    """A marker without an id is a marker."""
    store.put(SYSTEM, "format", b'{"format": "compox-core-store", "version": 1}')
    initialise(store)
    assert store.url in store_identity(store)

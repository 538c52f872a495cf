"""The store in a local folder."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import ConflictError, InvalidInputError
from compox_core.storage import FILES, ObjectStore, atomic, initialise, open_store
from compox_core.storage.folder import FolderStore
from tests.contracts.object_store import Backdoor, ObjectStoreContract


class FolderBackdoor(Backdoor):
    """The files themselves."""

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.root, self.prefix = root, prefix

    def path(self, collection: str, key: str = "") -> Path:
        return self.root / (self.prefix + collection) / key

    def write(self, collection: str, key: str, data: bytes) -> None:
        path = self.path(collection, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, collection: str, key: str) -> bytes | None:
        path = self.path(collection, key)
        return path.read_bytes() if path.is_file() else None

    def everything(self, collection: str) -> set[str]:
        top = self.path(collection)
        return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}


class TestFolderStore(ObjectStoreContract):
    """The contract in a folder."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> dict[str, Any]:
        return {"url": str(tmp_path / "store")}

    @pytest.fixture
    def store(self, opened: dict[str, Any]) -> Iterator[ObjectStore]:
        with open_store(**opened) as store:
            store.ensure_collections()
            yield store

    @pytest.fixture
    def backdoor(self, tmp_path: Path) -> Backdoor:
        return FolderBackdoor(tmp_path / "store")

    def grow_old(self, store: ObjectStore, key: str) -> None:
        then = time.time() - 3600
        path = store.local_path(FILES, key)
        assert path is not None
        os.utime(path, (then, then))


class TestSyncedFolderStore(TestFolderStore):
    """The contract in a folder whose writes survive a power cut, with a prefix before its collections."""

    @pytest.fixture
    def opened(self, tmp_path: Path) -> dict[str, Any]:
        return {"url": (tmp_path / "store").as_uri(), "fsync": True, "prefix": "site-7-"}

    @pytest.fixture
    def backdoor(self, tmp_path: Path) -> Backdoor:
        return FolderBackdoor(tmp_path / "store", "site-7-")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store in a folder, ready for use."""
    store = FolderStore(tmp_path / "store")
    initialise(store)
    return store


def everything(store: FolderStore) -> set[str]:
    """All files under the store's root apart from the marker."""
    found = {path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()}
    return found - {"system-store/format"}


# What a folder is


def test_a_store_that_was_not_made_ready_still_works(tmp_path: Path) -> None:
    """The folders come with the first object."""
    store = FolderStore(tmp_path / "deep" / "store")
    assert list(store.list(FILES)) == []
    assert not store.exists(FILES, "k")
    assert store.is_empty()
    store.put(FILES, "a/k", b"1")
    assert store.get(FILES, "a/k") == b"1"


def test_consumed_files_are_not_copied(store: FolderStore) -> None:
    """A scratch file becomes the object itself: the same file, by another name."""
    for exclusive in (False, True):
        scratch = store.scratch()
        scratch.write_bytes(b"large")
        number = scratch.stat().st_ino
        store.put_file(FILES, f"k-{exclusive}", scratch, consume=True, exclusive=exclusive)
        assert store.local_path(FILES, f"k-{exclusive}").stat().st_ino == number


def test_a_consumed_link_is_followed(store: FolderStore, tmp_path: Path) -> None:
    """A symbolic link is not taken over as an object; what it points to is copied and stays."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"data")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    store.put_file(FILES, "k", link, consume=True)
    assert not store.local_path(FILES, "k").is_symlink()
    assert (store.get(FILES, "k"), real.read_bytes(), link.is_symlink()) == (b"data", b"data", False)


def test_a_file_that_cannot_be_renamed_is_copied(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file on another filesystem becomes an object by a copy."""
    source = tmp_path / "source"
    source.write_bytes(b"data")
    publish = atomic.publish_new

    def elsewhere(path: Path, target: Path) -> None:
        if path == source:
            raise OSError(errno.EXDEV, "cross-device link")
        publish(path, target)

    monkeypatch.setattr(atomic, "publish_new", elsewhere)
    store.put_file(FILES, "k", source, consume=True, exclusive=True)
    assert store.get(FILES, "k") == b"data"
    assert not source.exists()
    assert everything(store) == {"data-store/k"}


def test_a_key_cannot_be_a_folder_of_another(store: FolderStore) -> None:
    """An object below an object, or in place of a folder of objects, is refused, and nothing is left."""
    store.put(FILES, "a", b"1")
    store.put(FILES, "b/c", b"1")
    for key in ("a/b", "a/b/c", "b"):
        for write in (store.put, store.create):
            with pytest.raises(InvalidInputError) as caught:
                write(FILES, key, b"2")
            assert caught.value.code == "invalid_key"
    assert everything(store) == {"data-store/a", "data-store/b/c"}


def test_foreign_files_are_not_listed(store: FolderStore) -> None:
    """A file whose name cannot be a key is not an object."""
    store.put(FILES, "a/k", b"1")
    (store.root / "data-store" / "a" / "not a key").write_bytes(b"")
    (store.root / "data-store" / ".tmpfile").write_bytes(b"")
    assert [info.key for info in store.list(FILES)] == ["a/k"]


# Copies


def test_a_copy_shares_the_blocks(store: FolderStore) -> None:
    """The content lies on the disk once, under two names, and no third one stays."""
    store.put(FILES, "a/k", b"large")
    store.copy(FILES, "a/k", "b/copy")
    source, copy = (store.local_path(FILES, key) for key in ("a/k", "b/copy"))
    assert source.samefile(copy)
    assert source.stat().st_nlink == 2
    assert everything(store) == {"data-store/a/k", "data-store/b/copy"}


@pytest.mark.parametrize("reason", [errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EXDEV])
def test_what_cannot_be_linked_is_copied(store: FolderStore, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    """A file with too many names, or of another owner, has a copy with blocks of its own."""
    store.put(FILES, "k", b"large")
    source, link = store.local_path(FILES, "k"), Path.hardlink_to

    def refuse(self: Path, target: Path) -> None:
        if target == source:
            raise OSError(reason, os.strerror(reason))
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store.copy(FILES, "k", "copy")
    assert store.get(FILES, "copy") == b"large"
    assert not source.samefile(store.local_path(FILES, "copy"))
    with pytest.raises(ConflictError):
        store.copy(FILES, "k", "copy")
    assert everything(store) == {"data-store/k", "data-store/copy"}


def test_a_copy_that_may_not_be_dated_has_blocks_of_its_own(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another owner can be linked by some systems, but only its owner may make it young."""
    store.put(FILES, "k", b"large")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "not the owner")

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", refuse)
        store.copy(FILES, "k", "copy")
    assert not store.local_path(FILES, "k").samefile(store.local_path(FILES, "copy"))
    assert everything(store) == {"data-store/k", "data-store/copy"}


def test_a_copy_below_an_object_is_refused(store: FolderStore) -> None:
    """No key is a folder of another key, whichever way an object comes."""
    store.put(FILES, "a", b"1")
    store.put(FILES, "b/c", b"1")
    for target in ("a/b", "b"):
        with pytest.raises(InvalidInputError) as caught:
            store.copy(FILES, "a", target)
        assert caught.value.code == "invalid_key"
    assert everything(store) == {"data-store/a", "data-store/b/c"}


# What dead writers leave


def test_old_temporary_files_are_cleared_and_young_ones_left(store: FolderStore) -> None:
    """Making a store ready removes temporary files and folders that nobody has written to for a day."""
    now = time.time()
    for folder in (store.root, store.root / "data-store"):
        for name, age in (("old", 25 * 3600), ("young", 23 * 3600)):
            path = folder / ".tmp" / name
            path.write_bytes(b"")
            os.utime(path, (now - age, now - age))
    old_folder = store.root / ".tmp" / "old-folder"
    old_folder.mkdir()
    (old_folder / "file").write_bytes(b"")
    os.utime(old_folder / "file", (0, 0))
    os.utime(old_folder, (0, 0))
    assert store.clear_temporary(dry_run=True) == (3, 0)
    store.ensure_collections()
    assert everything(store) == {".tmp/young", "data-store/.tmp/young"}


def test_an_answer_lost_by_a_network_filesystem_is_no_conflict(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that was made, and then reported as existing because the request was repeated, counts as made."""
    link = Path.hardlink_to

    def repeated(self: Path, target: Path) -> None:
        link(self, target)
        raise FileExistsError(errno.EEXIST, "exists")

    monkeypatch.setattr(Path, "hardlink_to", repeated)
    store.create(FILES, "k", b"mine")
    assert store.get(FILES, "k") == b"mine"
    with pytest.raises(ConflictError):
        store.create(FILES, "k", b"other")
    assert everything(store) == {"data-store/k"}


def test_a_folder_removed_under_a_writer_is_made_again(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delete that takes an empty folder away just before an object is named in it does not fail the write."""
    publish, folder = atomic.publish_new, store.root / "data-store" / "a"
    removals = iter(range(3))

    def late(source: Path, target: Path) -> None:
        if next(removals, None) is not None and folder.is_dir():
            folder.rmdir()
        publish(source, target)

    monkeypatch.setattr(atomic, "publish_new", late)
    store.create(FILES, "a/k", b"1")
    assert store.get(FILES, "a/k") == b"1"

"""The store in a local folder when the place will not do, the disk is full or the power goes."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import CompoxError, SettingsError, StorageError
from compox_core.storage import FILES, SYSTEM, atomic, initialise, open_store, staging
from compox_core.storage.folder import FolderStore


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


# Places that will not do


def test_a_filesystem_without_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be named exclusively the store is refused when it is made ready."""

    def none(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(atomic, "WINDOWS", False)
    monkeypatch.setattr(Path, "hardlink_to", none)
    store = FolderStore(tmp_path / "store")
    with pytest.raises(SettingsError) as caught:
        initialise(store)
    assert caught.value.code == "unsupported_filesystem"
    assert everything(store) == set()


def test_a_filesystem_that_links_over_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a second file gets a name that is taken the store is refused too."""

    def over(self: Path, target: Path) -> None:
        self.write_bytes(target.read_bytes())

    monkeypatch.setattr(atomic, "WINDOWS", False)
    monkeypatch.setattr(Path, "hardlink_to", over)
    with pytest.raises(SettingsError, match="one name to two files"):
        initialise(FolderStore(tmp_path / "store"))


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """A store cannot be made where a file is, and the error says where."""
    root = tmp_path / "file"
    root.write_bytes(b"")
    with pytest.raises(StorageError, match="file"):
        initialise(FolderStore(root))


def test_a_store_that_went_away_is_an_outage(store: FolderStore) -> None:
    """An unmounted disk reads as an outage, never as an empty store, and is not written beside."""
    store.put(FILES, "k", b"1")
    store.root.rename(store.root.with_name("unmounted"))
    store.root.mkdir()  # the empty mount point
    uses = [
        lambda: store.get(FILES, "k"),
        lambda: store.exists(FILES, "k"),
        lambda: store.delete(FILES, "k"),
        lambda: list(store.list(FILES)),
        lambda: store.put(FILES, "k", b"2"),
        lambda: store.create(FILES, "new/k", b"2"),
    ]
    for use in uses:
        with pytest.raises(StorageError) as caught:
            use()
        assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
    assert list(store.root.iterdir()) == []


CAUSES = [
    (errno.ENOSPC, "disk_full", True),
    (errno.EACCES, "storage_access_denied", False),
    (errno.EROFS, "storage_access_denied", False),
    (errno.EIO, "storage_unavailable", True),
    (errno.ENAMETOOLONG, "storage_write_failed", False),
]


@pytest.mark.parametrize(("number", "code", "retryable"), CAUSES)
def test_causes_of_failed_writes(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int, code: str, retryable: bool
) -> None:
    """What the operating system says when a file is named or filled becomes a code, and nothing stays behind."""

    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    for place in ("publish_new", "publish_over"):
        with monkeypatch.context() as patched:
            patched.setattr(atomic, place, fail)
            write = store.create if place == "publish_new" else store.put
            with pytest.raises(StorageError) as caught:
                write(FILES, "k", b"1")
        assert (caught.value.code, caught.value.retryable) == (code, retryable)
        assert "data-store/k" in str(caught.value)
    assert everything(store) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_where_the_stream_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write into a file on a full disk is `disk_full`, raised by the write that fails."""
    file = staging.TemporaryFile(tmp_path / "new", "data-store/k")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(descriptor, file.fileno())
        with pytest.raises(StorageError) as caught:
            file.write(b"x")
    finally:
        os.close(descriptor)
        file.close()
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_a_folder_without_permission_is_denied(store: FolderStore) -> None:
    """A folder that may not be written or read is `storage_access_denied`."""
    store.put(FILES, "a/k", b"1")
    folder = store.root / "data-store" / "a"
    folder.chmod(0)
    try:
        for use in (lambda: store.get(FILES, "a/k"), lambda: list(store.list(FILES))):
            with pytest.raises(StorageError) as caught:
                use()
            assert caught.value.code == "storage_access_denied"
    finally:
        folder.chmod(0o700)


def test_what_may_not_be_looked_at_is_denied(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the kind of a file cannot be told, access is denied: that is not "missing", and no raw error."""

    def denied(*arguments: Any, **named: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic, "WINDOWS", False)
    for name in ("stat", "read_bytes", "unlink", "open"):
        monkeypatch.setattr(Path, name, denied)
    uses = [store.get, store.open, store.stat, store.exists, store.delete, lambda *_: list(store.list(FILES))]
    for use in (*uses, lambda *_: store.scratch()):
        with pytest.raises(StorageError) as caught:
            use(FILES, "a/k")
        assert caught.value.code == "storage_access_denied"


def test_errors_of_the_caller_are_left_alone(store: FolderStore) -> None:
    """An operating system error that the block raises is the caller's, not the store's."""
    with pytest.raises(OSError, match="theirs") as caught, store.write(FILES, "k"):
        raise OSError(errno.ENOSPC, "theirs")
    assert not isinstance(caught.value, CompoxError)


# Windows, where a file that somebody reads can be neither replaced nor removed


@pytest.mark.parametrize("name", ["replace", "unlink", "read_bytes"])
def test_a_busy_file_is_waited_for_on_windows(store: FolderStore, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A replacement, a removal and a read that meet an open file are tried again."""
    real, refusals = getattr(Path, name), iter(range(3))

    def busy(self: Path, *arguments: Any, **named: Any) -> Any:
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "in use")
        return real(self, *arguments, **named)

    monkeypatch.setattr(atomic, "WINDOWS", True)
    monkeypatch.setattr(Path, name, busy)
    store.put(FILES, "k", b"1")
    assert store.get(FILES, "k") == b"1"
    assert store.delete(FILES, "k")
    assert next(refusals, None) is None


# Power cuts


@pytest.mark.parametrize("fsync", [False, True])
def test_fsync_reaches_file_and_folder_before_the_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    """With `fsync` the file is synced before it is named and every new name after; without it nothing is."""
    calls: list[str] = []
    store = FolderStore(tmp_path / "store", fsync=fsync)
    store.ensure_collections()
    publish = atomic.publish_new
    monkeypatch.setattr(staging, "sync_file", lambda descriptor: calls.append("file"))
    monkeypatch.setattr(atomic, "sync_folder", lambda folder: calls.append(folder.name))
    monkeypatch.setattr(atomic, "publish_new", lambda *paths: (calls.append("publish"), publish(*paths))[1])
    store.create(FILES, "a/b/k", b"1")
    if not fsync:
        assert calls == ["publish", "publish"]  # the first finds no folder
        return
    assert calls.index("file") < calls.index("publish")
    after = calls[len(calls) - calls[::-1].index("publish") :]
    assert after == ["b", "a", "data-store"]
    calls.clear()
    store.put_file(FILES, "a/c", _scratch(store), consume=True, exclusive=True)
    assert calls == ["file", "publish", "a", "data-store"]
    calls.clear()
    store.delete(FILES, "a/c")
    assert calls == ["a", "data-store"]


def _scratch(store: FolderStore) -> Path:
    path = store.scratch()
    path.write_bytes(b"x")
    return path


def test_a_listing_reads_no_more_than_its_prefix(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing reads only the folders under its prefix."""
    for number in range(20):
        store.put(FILES, f"id-{number}/head", b"1")
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (scanned.append(str(path)), scandir(path))[1])
    assert [info.key for info in store.list(FILES, "id-7/")] == ["id-7/head"]
    assert scanned == [str(store.root / "data-store" / "id-7")]


def test_keys_that_come_and_go_in_one_folder_are_never_taken_for_others(tmp_path: Path) -> None:
    """Threads that create and delete under one subfolder, which so appears and disappears, meet no false conflict."""
    store = open_store(tmp_path / "store")
    store.ensure_collections()

    def work(number: int) -> None:
        for turn in range(60):
            key = f"shared/{number}-{turn}"
            store.create(SYSTEM, key, b"x")
            assert store.delete(SYSTEM, key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

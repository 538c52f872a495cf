"""Stores on other fsspec filesystems: which are refused, and what one does that passes the trial."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from compox_core.errors import SettingsError, StorageError
from compox_core.storage import ALL, FILES, SYSTEM, ObjectStore, initialise, open_store
from compox_core.storage.filesystem import FilesystemStore
from tests.contracts.backdoor import Backdoor
from tests.contracts.store_listing import ListingContract
from tests.contracts.store_objects import ObjectsContract
from tests.contracts.store_races import RacesContract
from tests.contracts.store_streams import StreamsContract
from tests.servers import S3Server
from tests.storage.s3_backdoor import S3Backdoor


@pytest.mark.s3
class TestFilesystemStore(ObjectsContract, StreamsContract, ListingContract, RacesContract):
    """The contract on a filesystem that creates exclusively by itself: s3fs, used like any other."""

    test_one_of_many_processes_creates = None  # type: ignore[assignment]  # the URL leads to the store for S3

    @pytest.fixture
    def url(self, moto_server: S3Server) -> str:
        return moto_server.url()

    @pytest.fixture
    def store(self, moto_server: S3Server, url: str) -> ObjectStore:
        with suppress(moto_server.client.exceptions.BucketAlreadyOwnedByYou):
            moto_server.client.create_bucket(Bucket=url.split("/")[2])
        return FilesystemStore(moto_server.filesystem, url.removeprefix("s3://"), url=url)

    @pytest.fixture
    def backdoor(self, moto_server: S3Server, url: str) -> Backdoor:
        return S3Backdoor(moto_server, url)

    def test_a_filesystem_that_passes_its_trial_is_made_ready(self, store: ObjectStore) -> None:
        """A filesystem that creates exclusively holds a store, which keeps nothing of the trial."""
        initialise(store)
        initialise(store)
        store.put(FILES, "k", b"1")
        assert [(name, info.key) for name in ALL for info in store.list(name)] == [(FILES, "k"), (SYSTEM, "format")]


@pytest.mark.parametrize("url", ["dir://a", "zip://a"])
def test_filesystems_that_look_before_they_write_are_refused(url: str, tmp_path: Path) -> None:
    """What only checks whether a file is there before it writes cannot hold a store; that is told at once."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    kinds: dict[str, dict[str, Any]] = {
        "dir": {"path": str(tmp_path), "target_protocol": "file"},
        "zip": {"fo": str(tmp_path / "a.zip")},
    }
    with pytest.raises(SettingsError, match=url) as caught:
        open_store(url, options=kinds.get(url[:3]))
    assert caught.value.code == "unsupported_filesystem"


class Careless(MemoryFileSystem):
    """A filesystem that takes the mode and does not care."""

    store: dict[str, Any] = {}  # noqa: RUF012 - as fsspec's own
    protocol = "careless"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value)

    def put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **kwargs: Any) -> None:
        super().put_file(lpath, rpath)


class Broken(Careless):
    """A filesystem whose server is gone."""

    def fail(self, *arguments: Any, **named: Any) -> Any:
        raise RuntimeError("server gone")

    pipe_file = cat_file = info = fail


def test_a_filesystem_that_lets_all_create_is_refused() -> None:
    """A filesystem that claims to create exclusively and does not is found out."""
    filesystem = Careless(skip_instance_cache=True)
    with pytest.raises(SettingsError, match="exactly one"):
        FilesystemStore(filesystem, "/root", url="careless://root").ensure_collections()
    assert filesystem.find("/root") == []


def test_what_a_filesystem_raises_is_no_missing_object() -> None:
    """An error of an unknown kind is a `StorageError` with its text."""
    store = FilesystemStore(Broken(skip_instance_cache=True), "/root", url="broken://root")
    for use in (
        lambda: store.get(FILES, "k"),
        lambda: store.exists(FILES, "k"),
        lambda: store.put(FILES, "k", b""),
        lambda: store.create(FILES, "k", b""),
    ):
        with pytest.raises(StorageError, match="server gone"):
            use()


def test_an_unknown_url_is_refused() -> None:
    """A URL that fsspec does not know is refused with what can be given."""
    with pytest.raises(SettingsError, match="not among the known"):
        open_store("nonsense://a")

"""From a URL to a store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compox_core.errors import MissingExtraError, SettingsError, StateError
from compox_core.storage import FILES, open_store
from compox_core.storage.folder import FolderStore
from compox_core.storage.memory import MemoryStore

S3 = {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s"}


def test_kinds_of_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may be a path, its text, relative, in the home folder, or a URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = tmp_path / "a store"
    for url in (folder, str(folder), "a store", Path("a store"), "~/a store", folder.as_uri(), f"{folder.as_uri()}/"):
        store = open_store(url)
        assert isinstance(store, FolderStore)
        assert store.root == folder
        assert store.shared
    memory = open_store("memory://")
    assert isinstance(memory, MemoryStore)
    assert not memory.shared


def test_a_place_is_not_touched_before_it_is_used(tmp_path: Path) -> None:
    """Opening makes nothing."""
    open_store(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_drive_is_a_folder_and_no_scheme() -> None:
    """The letter of a Windows drive is not taken for the kind of a URL."""
    assert isinstance(open_store("C:\\store"), FolderStore)


@pytest.mark.parametrize("url", ["nonsense://a", "zip://a", "file://", "s3://", "s3://b/../c", "s3://b//c"])
def test_urls_that_name_no_store(url: str) -> None:
    """What cannot be a store is refused with what can be."""
    with pytest.raises(SettingsError):
        open_store(url, options=S3 if url.startswith("s3") else None)


@pytest.mark.parametrize("prefix", ["Upper", "-a", "a_b", "../", "a/b", "x" * 32, " "])
def test_prefixes_that_do_not_fit(prefix: str) -> None:
    """A prefix that could not name a bucket is refused everywhere."""
    with pytest.raises(SettingsError, match="prefix"):
        open_store("memory://", prefix=prefix)


def test_options_of_s3_are_checked() -> None:
    """A misspelt option and an endpoint that is no URL are told before anything is sent."""
    with pytest.raises(SettingsError, match="endpoint_ur'") as caught:
        open_store("s3://b", options={"endpoint_ur": "http://h"})
    assert "endpoint_url" in caught.value.details["known"]
    with pytest.raises(SettingsError, match="localhost"):
        open_store("s3://b", options={"endpoint_url": "localhost:9000"})


def test_s3_takes_a_bucket_or_a_prefix() -> None:
    """A bucket for each collection leaves no place for one in the URL."""
    assert open_store("s3://", prefix="p-", options=S3, bucket_per_collection=True).url == "s3://p-*"
    assert open_store("s3://b/path/", options=S3).url == "s3://b/path"
    with pytest.raises(SettingsError, match="s3:// alone"):
        open_store("s3://b", options=S3, bucket_per_collection=True)


def test_secrets_are_not_shown() -> None:
    """Neither the URL nor the text of a store has the keys in it."""
    store = open_store("s3://b", options={**S3, "secret": "hidden-secret"})
    assert "hidden-secret" not in f"{store.url} {store!r} {store}"


def test_s3_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without s3fs the error says what to install."""
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r'pip install "compox-core\[s3\]"'):
        open_store("s3://b")


def test_local_stores_load_nothing_large() -> None:
    """A store in memory or a folder loads no S3, no HDF5 and no fsspec."""
    program = (
        "import sys; from compox_core.storage import FileStore, open_store; open_store('memory://'); open_store('x');"
        "print([name for name in ('fsspec', 's3fs', 'botocore', 'aiohttp', 'h5py', 'numpy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.strip() == "[]"


def test_a_store_is_closed_by_its_block() -> None:
    """A store can be used as a context manager."""
    with open_store("memory://") as store:
        store.put(FILES, "k", b"1")
    with pytest.raises(StateError) as caught:
        store.get(FILES, "k")
    assert caught.value.code == "store_closed"

"""From settings to the place of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import platformdirs
import pytest

from compox_core.errors import SettingsError
from compox_core.settings import (
    Settings,
    StoreLocation,
    default_folder,
    emergency_folders,
    load_settings,
    log_file,
    parse_dotted,
    resolve_path,
    store_options,
)


def location(backend: dict[str, Any], **storage: Any) -> StoreLocation:
    return store_options(load_settings({"storage": {"backend_settings": backend, **storage}}))


def test_the_default_is_a_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a path the store is in the user's data directory, looked up when it is asked for."""
    settings = Settings()
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: str(tmp_path / name))
    assert store_options(settings).url == str(tmp_path / "compox-core" / "store") == str(default_folder())
    assert not default_folder().exists()


def test_a_folder_with_prefix_and_fsync() -> None:
    """A path, a prefix and fsync reach the store; `~` is the user's home."""
    assert location({"provider": "local", "path": "a/b"}, collection_prefix="x-", fsync=True) == StoreLocation(
        str(Path("a/b")), "x-", fsync=True
    )
    assert location({"path": "~/b"}).url == str(Path("~/b").expanduser())


def test_memory_and_any_url() -> None:
    """Memory needs nothing, a URL goes with its options."""
    assert location({"provider": "memory"}) == StoreLocation("memory://")
    assert location({"provider": "fsspec", "url": "s3://b/p", "options": {"key": "k", "secret": "s"}}) == StoreLocation(
        "s3://b/p", options={"key": "k", "secret": "s"}
    )


def test_minio_has_a_bucket_for_each_collection() -> None:
    """A MinIO that runs already is reached at its endpoint, with the keys of the section."""
    place = location(
        {"provider": "minio", "start_instance": False, "port": 9000, "aws_region": "eu"},
        access_key_id="k",
        secret_access_key="s",
    )
    assert place == StoreLocation(
        "s3://",
        bucket_per_collection=True,
        options={
            "endpoint_url": "http://localhost:9000",
            "key": "k",
            "secret": "s",
            "client_kwargs": {"region_name": "eu"},
        },
    )


def test_aws_without_keys_leaves_them_to_the_environment() -> None:
    """No endpoint and no keys mean Amazon with whatever credentials the machine has."""
    assert location({"provider": "aws"}) == StoreLocation("s3://", bucket_per_collection=True)


def test_a_minio_that_is_to_be_started_is_reached_at_its_port() -> None:
    """Whoever opens the store has to see to its start; an endpoint that is named counts more than the port."""
    assert location({"provider": "minio"}).options["endpoint_url"] == "http://localhost:5483"
    named = location({"provider": "minio", "s3_endpoint_url": "http://h:1"})
    assert named.options["endpoint_url"] == "http://h:1"


@pytest.mark.parametrize("key", ["ssl.ssl_keyfile", "gui.icon_path", "storage.builtin_storage_bundle_path", "log_path"])
def test_every_path_may_begin_with_a_prefix(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key's path is found by its dotted name; a key without one names none, and nothing is created."""
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: str(tmp_path / "data"))
    settings = load_settings(overrides=parse_dotted([f"--{key}", "PROGRAMDATA_DEFAULT:x/y"]))
    assert resolve_path(settings, key) == tmp_path / "data" / "x" / "y"
    assert resolve_path(load_settings(overrides=parse_dotted([f"--{key}="])), key) is None
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_counts_at_the_start_only() -> None:
    """A prefix in the middle, a drive or an unknown prefix is part of a path."""
    settings = Settings(log_path="a/LOG_DEFAULT:b")
    assert resolve_path(settings, "log_path") == Path("a/LOG_DEFAULT:b").absolute()


def test_options_are_not_shown() -> None:
    """A location in a log or a traceback has no secret in it."""
    assert "sesame" not in repr(location({"provider": "aws"}, secret_access_key="sesame"))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("LOG_DEFAULT:a/compox.log", "logs/a/compox.log"),
        ("PROGRAMDATA_DEFAULT:compox.log", "data/compox.log"),
        ("RELATIVE_DEFAULT:compox.log", "here/compox.log"),
        ("x/compox.log", "here/x/compox.log"),
    ],
)
def test_the_place_of_the_log(path: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each prefix stands for a folder of this user; any other path is taken from the working directory."""
    monkeypatch.setattr(platformdirs, "user_log_dir", lambda name, appauthor: str(tmp_path / "logs"))
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, appauthor: str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert log_file(Settings(log_path=path)) == tmp_path.resolve() / place


@pytest.mark.parametrize("path", ["", "LOG_DEFAULT:"])
def test_no_log(path: str) -> None:
    """Settings may name no log file."""
    assert log_file(Settings(log_path=path)) is None


def test_emergency_records_lie_beside_the_log(tmp_path: Path) -> None:
    """A folder that is named comes first, then one beside the log, then one for temporary files."""
    settings = load_settings({"log_path": str(tmp_path / "a.log"), "storage": {"emergency_path": str(tmp_path / "e")}})
    folders = emergency_folders(settings)
    assert folders[:2] == [tmp_path.resolve() / "e", tmp_path.resolve() / "compox_emergency_records"]
    assert folders[2].name.startswith("compox_emergency_records")
    assert len(folders) == 3
    assert emergency_folders(Settings(log_path="")) == folders[2:]


@pytest.mark.parametrize("path", ["~no-such-user-here/x", "a\0b"])
def test_a_path_that_is_none_is_told(path: str) -> None:
    """By the key that it stands under."""
    with pytest.raises(SettingsError, match=r"storage\.backend_settings\.path is no path"):
        location({"provider": "local", "path": path})
    with pytest.raises(SettingsError, match=r"storage\.emergency_path is no path"):
        emergency_folders(load_settings({"storage": {"emergency_path": path}}))

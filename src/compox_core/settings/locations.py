"""Where the store is that the settings mean."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from compox_core.errors import SettingsError
from compox_core.settings.models import (
    AwsBackend,
    FsspecBackend,
    LocalBackend,
    MemoryBackend,
    MinioBackend,
    Settings,
    Storage,
)

EMERGENCY_FOLDER = "compox_emergency_records"
PREFIXES = ("LOG_DEFAULT", "PROGRAMDATA_DEFAULT", "RELATIVE_DEFAULT")


@dataclass(frozen=True)
class StoreLocation:
    """What `open_store` needs to know. `options` may hold secrets: it is not shown."""

    url: str
    prefix: str = ""
    bucket_per_collection: bool = False
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    fsync: bool = False


def default_folder() -> Path:
    """Return the folder of the store that is used when nothing else is said; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_data_dir("compox-core", appauthor=False)) / "store"


def log_file(settings: Settings) -> Path | None:
    """Return where the log file is that the settings name; None where they name none."""
    return resolve_path(settings, "log_path")


def resolve_path(settings: Settings, key: str) -> Path | None:
    """Return the absolute path that a dotted key of the settings means; None where it names none. Creates nothing.

    `LOG_DEFAULT:` stands for the user's folder for logs, `PROGRAMDATA_DEFAULT:` for that for data, and
    `RELATIVE_DEFAULT:` for the working directory, as a path without any of them does. Raises SettingsError.
    """
    import platformdirs

    text: str | None = attrgetter(key)(settings)
    start, colon, rest = (text or "").partition(":")
    if text is None or not text.strip() or (colon and not rest and start in PREFIXES):
        return None
    if colon and start == "LOG_DEFAULT":
        return Path(platformdirs.user_log_dir("compox-core", appauthor=False)) / rest
    if colon and start == "PROGRAMDATA_DEFAULT":
        return Path(platformdirs.user_data_dir("compox-core", appauthor=False)) / rest
    return _expanded(key, rest if colon and start == "RELATIVE_DEFAULT" else text).absolute()


def emergency_folders(settings: Settings) -> list[Path]:
    """Return where the ends of jobs may be kept that the store refuses, the best place first; none may exist yet."""
    folders = []
    given, log = settings.storage.emergency_path, log_file(settings)
    if given:
        folders.append(_expanded("storage.emergency_path", given).resolve())
    if log is not None:
        folders.append(log.parent.resolve() / EMERGENCY_FOLDER)
    with suppress(FileNotFoundError):  # no folder for temporary files takes any
        folders.append(_temporary_folder())
    return folders


def _expanded(key: str, text: str) -> Path:
    """Return a path of the settings, whose `~` is a home directory. Raises SettingsError."""
    try:
        if "\0" in text:
            raise ValueError("a path has no null character")
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as error:  # `~nobody` is a RuntimeError
        raise SettingsError(f"{key} is no path on this machine: {error}", details={"key": key}) from error


def _temporary_folder() -> Path:
    own = f"-{os.getuid()}" if hasattr(os, "getuid") else ""  # on Windows each user has a temporary folder of his own
    return Path(tempfile.gettempdir()).resolve() / (EMERGENCY_FOLDER + own)


def store_options(settings: Settings) -> StoreLocation:
    """Return where the store of these settings is; a MinIO that they ask for is started elsewhere."""
    storage = settings.storage
    backend = storage.backend_settings
    prefix = storage.collection_prefix
    if isinstance(backend, MemoryBackend):
        return StoreLocation("memory://", prefix)
    if isinstance(backend, FsspecBackend):
        return StoreLocation(backend.url, prefix, options=dict(backend.options.get_secret_value()), fsync=storage.fsync)
    if isinstance(backend, LocalBackend):
        folder = _expanded("storage.backend_settings.path", backend.path) if backend.path else default_folder()
        return StoreLocation(str(folder), prefix, fsync=storage.fsync)
    return StoreLocation("s3://", prefix, bucket_per_collection=True, options=_s3_options(storage, backend))


def _s3_options(storage: Storage, backend: MinioBackend | AwsBackend) -> dict[str, Any]:
    endpoint = backend.endpoint if isinstance(backend, MinioBackend) else backend.s3_endpoint_url
    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    for name, value in (("key", storage.access_key_id), ("secret", storage.secret_access_key)):
        if isinstance(value, SecretStr):
            options[name] = value.get_secret_value()
    if backend.aws_region:
        options["client_kwargs"] = {"region_name": backend.aws_region}
    return options

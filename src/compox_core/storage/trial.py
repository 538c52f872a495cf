"""The trial that a filesystem must pass: does it create a file exclusively, whoever else tries at the same time?"""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from compox_core.errors import SettingsError
from compox_core.identity import new_token
from compox_core.storage.s3_errors import lost_race

_RACERS = 8
_ROUNDS = 4


def check_offer(filesystem: Any, url: str) -> None:
    """Raise `SettingsError` (code `unsupported_filesystem`) when the filesystem does not even claim to.

    Nothing is sent. fsspec's default is to look first and then write.
    """
    for name in ("pipe_file", "put_file"):
        method = getattr(type(filesystem), f"_{name}", None) or getattr(type(filesystem), name)
        if method.__module__ in ("fsspec.spec", "fsspec.asyn") or "mode" not in inspect.signature(method).parameters:
            raise _refusal(url, f"has no {name} of its own that creates exclusively")


def try_exclusive(filesystem: Any, folder: str, url: str) -> None:
    """Raise `SettingsError` (code `unsupported_filesystem`) when several can create the same file.

    Files are made whose names begin with `folder`, and removed again.
    """
    for _ in range(_ROUNDS):
        if not _one_creates(filesystem, f"{folder}-{new_token()}"):
            raise _refusal(url, "does not let exactly one of several create a file")


def _refusal(url: str, why: str) -> SettingsError:
    return SettingsError(
        f"A store cannot be kept at {url}: its filesystem {why}, so two writers could both believe that they were "
        "first. Use a folder or s3://bucket/prefix.",
        code="unsupported_filesystem",
        details={"where": url, "reason": why},
    )


def is_taken(error: BaseException) -> bool:
    """Return whether a filesystem refused to create what exists."""
    return isinstance(error, FileExistsError) or lost_race(error) or getattr(error, "code", None) in (409, 412)


def _one_creates(filesystem: Any, path: str) -> bool:
    """Return whether one and only one of several created the file, and it is the one who says so."""

    def create(_: int = 0) -> bytes | None:
        data = new_token().encode()
        try:
            filesystem.pipe_file(path, data, mode="create")
        except Exception as error:  # the boundary to fsspec, whose errors have no common class
            if not is_taken(error):
                raise
            return None
        return data

    try:
        with ThreadPoolExecutor(_RACERS) as pool:
            won = [data for data in pool.map(create, range(_RACERS)) if data]
        return len(won) == 1 and filesystem.cat_file(path) == won[0] and create() is None
    except NotImplementedError:
        return False
    finally:
        with suppress(FileNotFoundError):
            filesystem.rm_file(path)

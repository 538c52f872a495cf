"""Opens the zip of an algorithm, trusting nothing in it."""

from __future__ import annotations

import lzma
import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from compox_core.errors import PackageError

CHUNK = 1024 * 1024
ENCRYPTED = 0x1
LONGEST_PART = 255
DEEPEST = 64
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
# What `zipfile` raises for archives that are cut, changed or made by no rule.
BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


class ArchiveLimits(Protocol):
    """How much an archive may hold once inflated: bytes of all members, and how many they are."""

    max_archive_bytes: int
    max_archive_members: int


def extract_zip(path: Path, target: Path, limits: ArchiveLimits) -> None:
    """Extract a zip into the empty folder `target`.

    Members with absolute paths, `..`, drive letters or backslashes, links, encrypted or doubled members (also by case
    or normal form), and archives that inflate beyond the limits are refused; what was written by then stays in
    `target`, which the caller removes. Permissions and dates are not taken over.

    Raises:
        PackageError: `invalid_deployment_zip`; `details["member"]` names the member. `deployment_zip_failed` when
            this machine cannot hold what is in it.
    """
    with _opened(path) as archive:
        members = archive.infolist()
        _check_sizes(path, members, limits)
        _check_names(path, members)
        _extract_all(path, archive, members, target, limits.max_archive_bytes)


def check_zip(path: Path, limits: ArchiveLimits) -> None:
    """Refuse a zip that `extract_zip` would refuse by what it says of itself, without inflating it.

    Raises PackageError (`invalid_deployment_zip`).
    """
    with _opened(path) as archive:
        members = archive.infolist()
        _check_sizes(path, members, limits)
        _check_names(path, members)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except BROKEN as error:
        raise _bad(path, f"it is no whole zip file ({error})") from error
    except OSError as error:
        raise _bad(path, f"it cannot be read ({error.strerror or error})") from error


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], limits: ArchiveLimits) -> None:
    """Refuse by what the archive says of itself, so that a bomb costs nothing; what it says is checked later."""
    if len(members) > limits.max_archive_members:
        allowed = f"{limits.max_archive_members} are allowed (limits.max_archive_members)"
        raise _bad(path, f"it has {len(members)} members; {allowed}")
    left = limits.max_archive_bytes
    for member in members:
        left -= member.file_size
        if left < 0:
            raise _too_large(path, limits.max_archive_bytes, member.orig_filename)


def _check_names(path: Path, members: list[zipfile.ZipInfo]) -> None:
    seen: dict[str, str] = {}
    for member in members:
        name = member.orig_filename
        problem = _problem(member, name) or (_windows_problem(name) if os.name == "nt" else None)
        if problem:
            raise _bad(path, problem, name)
        folded = unicodedata.normalize("NFC", name.rstrip("/")).casefold()
        if seen.get(folded) == name:
            raise _bad(path, f"it holds '{name}' twice", name)
        if folded in seen:
            raise _bad(path, f"it holds '{seen[folded]}' and '{name}', which are the same file on some systems", name)
        seen[folded] = name
    files = {folded for folded, name in seen.items() if not name.endswith("/")}
    for folded, name in seen.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in files:
                raise _bad(path, f"'{seen[str(parent)]}' is both a file and the folder of '{name}'", name)


def _problem(member: zipfile.ZipInfo, name: str) -> str | None:
    parts = name.rstrip("/").split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & ENCRYPTED:
        return f"the member '{name}' is encrypted"
    if kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        return f"the member '{name}' is a link or a special file"
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        return f"the member '{name}' would leave its folder"
    if any(part in ("", ".") for part in parts) or any(unicodedata.category(each)[0] == "C" for each in name):
        return f"the member {name!a} has a name that cannot be used"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"the member '{name[:80]}…' has a name that is too long"
    if len(parts) > DEEPEST:
        return f"the member '{name[:80]}…' lies more than {DEEPEST} folders deep"
    return None


def _windows_problem(name: str) -> str | None:
    """Return why Windows would write this member elsewhere than it says."""
    parts = name.rstrip("/").split("/")
    if any(part.partition(".")[0].casefold() in DEVICES or part[-1] in ". " for part in parts):
        return f"the member '{name}' has a name that Windows keeps for itself"
    return None


def _extract_all(
    path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path, limit: int
) -> None:
    left = limit
    for member in members:
        place = target.joinpath(*member.orig_filename.rstrip("/").split("/"))
        with _writing(path, member):
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as sink:
                for chunk in _inflated(path, archive, member):
                    left -= len(chunk)
                    if left < 0:
                        raise _too_large(path, limit, member.orig_filename)
                    sink.write(chunk)


def _inflated(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(member) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except (*BROKEN, OSError) as error:  # bz2 has no error of its own
        raise _bad(path, f"the member '{member.orig_filename}' is damaged ({error})", member.orig_filename) from error


@contextmanager
def _writing(path: Path, member: zipfile.ZipInfo) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PackageError(
            f"The zip '{path.name}' was not deployed: '{member.orig_filename}' could not be extracted "
            f"({error.strerror or error}).",
            code="deployment_zip_failed",
            details={"path": str(path), "member": member.orig_filename[:200]},
        ) from error


def _too_large(path: Path, limit: int, member: str) -> PackageError:
    return _bad(path, f"it inflates to more than {limit} bytes (limits.max_archive_bytes)", member)


def _bad(path: Path, why: str, member: str | None = None) -> PackageError:
    details = {"path": str(path)}
    if member is not None:
        details["member"] = member[:200].encode("utf-8", "backslashreplace").decode()
    return PackageError(
        f"The zip '{path.name}' cannot be deployed: {why}.", code="invalid_deployment_zip", details=details
    )

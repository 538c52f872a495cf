"""Modules of version 1 as module archives of ours.

Theirs is a zip of one package, named by an MD5, with `Runner` and `__init__` in it; the imports in it are relative.
Ours has the files of that package at its root. It is not compressed, so that its SHA-256 is the same wherever it is
made.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from compox_core.algorithms.archives import BROKEN, CHUNK, ArchiveLimits, check_zip
from compox_core.algorithms.transform import HERE, MAGIC_RANGES
from compox_core.algorithms.zipping import called, entry_of
from compox_core.bundle.container.failures import bad_front
from compox_core.errors import InvalidInputError, PackageError
from compox_core.records import ModuleEntry
from compox_core.storage.local_errors import reported

RUNNERS = ("Runner.py", "Runner.pyc")
STUBS = ("__init__.py", "__init__.pyc")
_IDENTITY = b"compox-v1-module\0"


def module_id_of(their_id: str) -> str:
    """Return the id here of a module by its id there; no deploy from source has it."""
    return hashlib.sha256(_IDENTITY + their_id.encode()).hexdigest()


def their_id_of(files: Iterable[tuple[str, bytes]]) -> str:
    """Return the id there of a package by its files: their paths below it, and contents."""
    digest = hashlib.md5(usedforsecurity=False)
    for path, content in sorted(files):
        digest.update(path.encode() + b"\0" + content)
    return digest.hexdigest()


def convert_module(their_id: str, source: BinaryIO, target: Path, limits: ArchiveLimits) -> ModuleEntry:
    """Write a module of theirs as an archive of ours to the new file `target`, and return what a version says of it.

    Raises:
        InvalidInputError: `invalid_bundle_manifest` where it is no module: no zip, a zip that is not allowed, no
            `Runner`, code of several Pythons. Also what `source` raises; nothing may be used then.
        StorageError: The disk for what is on its way refused.
    """
    name = f"module {their_id}"
    received = target.with_suffix(".received")
    with reported("write", str(received)), received.open("xb") as file:
        shutil.copyfileobj(source, file, CHUNK)
    try:
        with called(received, name):
            check_zip(received, limits)
        with reported("write", str(target)), zipfile.ZipFile(received) as archive:
            python = _convert(archive, target, name)
    except PackageError as error:
        raise bad_front(f"its {name} is no module ({error.message})") from error
    except InvalidInputError:
        raise
    except BROKEN as error:
        raise bad_front(f"its {name} is damaged ({error})") from error
    finally:
        received.unlink(missing_ok=True)
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModuleEntry(
        module_id=module_id_of(their_id), key=digest, sha256=digest, size=target.stat().st_size, python=python
    )


def _convert(archive: zipfile.ZipFile, target: Path, name: str) -> str | None:
    """Write the files of the Runner's package; return which Python they are compiled for, None for source."""
    members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    root = _package_of(members, name)
    inside = {path.removeprefix(root): member for path, member in members.items() if path.startswith(root)}
    beside = {path: member for path, member in members.items() if not path.startswith(root) and path not in STUBS}
    pythons: dict[str, str] = {}
    with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED) as ours:
        # What lies beside the package could be imported there, too, unless the package hides it.
        for path, member in sorted((beside | inside).items()):
            with archive.open(member) as source, ours.open(entry_of(path), "w", force_zip64=True) as sink:
                if path.endswith(".pyc"):
                    magic = source.read(4)
                    pythons[_python_of(magic)] = path
                    sink.write(magic)
                shutil.copyfileobj(source, sink, CHUNK)
    if len(pythons) > 1:
        found = ", ".join(f"'{path}' for {python}" for python, path in sorted(pythons.items()))
        raise bad_front(f"its {name} is compiled for several Pythons: {found}")
    return next(iter(pythons), None)


def _package_of(names: Iterable[str], name: str) -> str:
    """Return the folder of the Runner that they take, with a slash, or nothing for the root."""
    for runner in RUNNERS:
        if runner in names:
            return ""
    for runner in RUNNERS:
        folders = [path.removesuffix(runner) for path in names if path.endswith(f"/{runner}")]
        if folders:
            return min(folders, key=lambda folder: (folder.count("/"), folder))
    raise bad_front(f"its {name} has no Runner.py and no Runner.pyc")


def _python_of(magic: bytes) -> str:
    """Return the Python version that a `.pyc` with this magic number is for, as a version's record has it."""
    if magic == importlib.util.MAGIC_NUMBER:
        return HERE
    number = int.from_bytes(magic[:2], "little")
    found = next((name for name, (low, high) in MAGIC_RANGES.items() if low <= number <= high), None)
    if found is None or found == HERE:  # or a preview of this one, whose bytecode is another
        return f"{found or ''} (magic number {number})".strip()
    return found

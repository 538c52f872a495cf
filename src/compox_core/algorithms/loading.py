"""From a stored module, or a folder, to the Runner class in it."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import secrets
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from compox_core.algorithms.scope import folders
from compox_core.algorithms.scope.finder import installed_finder
from compox_core.errors import AlgorithmError, CompoxError
from compox_core.holder import this_process
from compox_core.records import AlgorithmVersion, ModuleEntry
from compox_core.records.plain import said
from compox_core.runners import BaseRunner
from compox_core.storage import MODULES, ObjectStore

SCOPE = "compox_core.algorithms.scope"
MANIFEST = ".files.json"


def load_version(store: ObjectStore, version: AlgorithmVersion) -> type[BaseRunner]:
    """Import the Runner class of a stored minor version.

    The module is extracted once per machine into the cache folder, under the SHA-256 of its archive. Raises
    AlgorithmError: `python_version_mismatch`, `module_cache_integrity_mismatch`, `algorithm_module_import_failed`.
    """
    module = version.module
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if module.python is not None and module.python != here:
        raise AlgorithmError(
            f"{version.name} {version.major}.{version.minor} was compiled for Python {module.python} and this is "
            f"Python {here}: deploy its source here, or run it with Python {module.python}.",
            code="python_version_mismatch",
            details={"compiled_for": module.python, "running": here},
        )
    root = f"a_{module.sha256[:40]}"
    target = folders.cache_folder() / root
    with _usable(target.parent):
        _make_private(target.parent)
        if not target.is_dir() or (f"{SCOPE}.{root}" not in sys.modules and not _is_whole(target)):
            with store.open(MODULES, module.key) as archive:
                _extract(archive, module, target)
            importlib.invalidate_caches()
    return _runner_class(root, f"{version.name} {version.major}.{version.minor}")


def load_runner_class(folder: Path) -> type[BaseRunner]:
    """Import the Runner class of an author's folder where it lies, anew at each call."""
    with loaded_in_place(folder) as runner:
        return runner


@contextmanager
def loaded_in_place(folder: Path) -> Iterator[type[BaseRunner]]:
    """Import the Runner class of an author's folder where it lies; its modules are dropped at the end."""
    cache = folders.cache_folder()
    root = f"d_{secrets.token_hex(8)}"
    location = cache / f"{root}.location"
    with _usable(cache):
        _make_private(cache)
        folders.write_location(location, folder.resolve(), this_process("").model_dump_json())
    try:
        yield _runner_class(root, str(folder))
    finally:
        location.unlink(missing_ok=True)
        installed_finder().forget(root)


def _runner_class(root: str, what: str) -> type[BaseRunner]:
    try:
        module = importlib.import_module(f"{SCOPE}.{root}.Runner")
    except CompoxError:
        raise
    except (Exception, SystemExit) as error:  # whatever an author's module raises while it is imported
        raise AlgorithmError(
            f"The code of {what} cannot be imported: {type(error).__name__}: {folders.as_author_sees(said(error))}",
            code="algorithm_module_import_failed",
            details={"type": type(error).__name__},
        ) from error
    runner = getattr(module, "Runner", None)
    if not isinstance(runner, type):
        raise AlgorithmError(
            f"Runner.py of {what} defines no class `Runner`: write `class Runner(BaseRunner)` in it.",
            code="algorithm_module_import_failed",
        )
    if not issubclass(runner, BaseRunner):
        raise AlgorithmError(
            f"`Runner` of {what} does not derive from BaseRunner or one of the typed runners of `compox_core.runners`.",
            code="algorithm_module_import_failed",
        )
    return runner


def _extract(archive: BinaryIO, module: ModuleEntry, target: Path) -> None:
    """Extract into a folder beside `target` and rename it, so that `target` is whole or absent."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        partial.mkdir()
        digest = _sha256(archive)
        if digest != module.sha256:
            raise AlgorithmError(
                f"The stored module {module.key} is not what was deployed (SHA-256 {digest[:12]}…, expected "
                f"{module.sha256[:12]}…): deploy the algorithm again.",
                code="module_cache_integrity_mismatch",
                details={"key": module.key},
            )
        archive.seek(0)
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                _check_member(name)
            members.extractall(partial)
        (partial / MANIFEST).write_text(json.dumps(_files(partial)), encoding="utf-8")
        _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`; a whole one that another process put there first stays, a damaged one goes."""
    try:
        partial.rename(target)
        return
    except OSError:
        if not target.is_dir():
            raise
    if _is_whole(target):
        return
    damaged = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):  # another process repairs it too
        target.rename(damaged)
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(damaged, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Return whether every extracted file is still there, in its size; cleaners of temporary folders take single ones.

    The first import in a process asks for it; what Python adds (`__pycache__`) does not matter.
    """
    try:
        expected = json.loads((folder / MANIFEST).read_bytes())
        return all((folder / name).stat().st_size == size for name, size in expected.items())
    except (OSError, ValueError):
        return False


def _files(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@contextmanager
def _usable(cache: Path) -> Iterator[None]:
    """Name the cache folder, and how to choose another, in whatever the system refuses there."""
    try:
        yield
    except CompoxError:
        raise
    except OSError as error:
        raise AlgorithmError(
            f"The module cache {cache} cannot be used ({error}): set {folders.CACHE_VARIABLE} to a folder of yours.",
            code="module_cache_unusable",
        ) from error


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(1024 * 1024):
        digest.update(chunk)
    return digest.hexdigest()


def _check_member(name: str) -> None:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts:
        raise AlgorithmError(
            f"The stored module has a member {name!r} that leaves its folder; nothing was extracted.",
            code="unsafe_zip_member_path",
            details={"member": name},
        )


def _make_private(folder: Path) -> None:
    """Make the cache folder, closed to other users: what lies in it is executed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.name == "posix" and folder.stat().st_uid not in (os.getuid(), 0):
        raise AlgorithmError(
            f"The module cache {folder} belongs to another user: set {folders.CACHE_VARIABLE} to a folder of yours.",
            code="module_cache_not_private",
        )

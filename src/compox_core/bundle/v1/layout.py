"""Module archives of ours as modules of version 1.

What came from a bundle of version 1 goes back as it was. Everything else becomes a package as their importer wants it:
an `__init__` in every folder, that at the root importing `Runner`. The code stays as it is, source or compiled; what
lets it import its own modules by their own names, and ours by theirs, is put beside it (`host_scope`), where it needs
that.
"""

from __future__ import annotations

import importlib.resources
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from compox_core.algorithms.archives import ArchiveLimits, extract_zip
from compox_core.algorithms.scope.finder import INITS, holds_code
from compox_core.algorithms.scope.imports import own_names
from compox_core.algorithms.scope.legacy import older_names
from compox_core.algorithms.zipping import entry_of
from compox_core.bundle.v1.modules import module_id_of, their_id_of

SCOPE = "_compox_scope"
INIT = "_compox_init"
_STUB = b"# The package beside this holds the algorithm.\n"


class TheirModule(NamedTuple):
    """A module as bundles of version 1 have it: its id, the MD5 of what is in it, and the zip."""

    module_id: str
    path: Path


def build_module(archive: Path, module_id: str, folder: Path, limits: ArchiveLimits) -> TheirModule:
    """Write a stored module archive as one of theirs into `folder`, which is empty and the caller's.

    The same bytes for the same archive. Raises PackageError (`invalid_deployment_zip`, `deployment_zip_failed`).
    """
    code = folder / "code"
    code.mkdir()
    extract_zip(archive, code, limits)
    files = {path.relative_to(code).as_posix(): path.read_bytes() for path in code.rglob("*") if path.is_file()}
    if module_id_of(their_id_of(files.items())) != module_id:
        files = _packaged(files, own_names(code, holds_code))
    their_id = their_id_of(files.items())
    target = folder / f"{their_id}.zip"
    with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as package:
        package.writestr(entry_of("__init__.py"), _STUB)
        for path, content in sorted(files.items()):
            package.writestr(entry_of(f"{their_id}/{path}", deflated=True), content)
    return TheirModule(their_id, target)


def _packaged(files: dict[str, bytes], own: frozenset[str]) -> dict[str, bytes]:
    """Return the files of the package that these become."""
    packaged = dict(files)
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    for folder in folders:
        if not any(f"{folder}/{name}" in files for name in INITS):
            packaged[f"{folder}/__init__.py"] = b""
    lines = []
    author = next((name for name in INITS if name in files), None)
    content = packaged.pop(author) if author else b""
    if own - {"Runner"} or content.strip() or any(b"compox_core" in each for each in files.values()):
        packaged[f"{SCOPE}.py"] = importlib.resources.files(__package__).joinpath("host_scope.py").read_bytes()
        lines.append(f"from . import {SCOPE}")
        lines.append(f"{SCOPE}.install(__package__, __path__, {sorted(own)!r}, {older_names()!r})")
    if author and content.strip():
        packaged[author.replace("__init__", INIT)] = content
        lines.append(f"{SCOPE}.run(__package__, {INIT!r}, globals())")
    lines.append("from .Runner import Runner")
    packaged["__init__.py"] = "".join(f"{line}\n" for line in lines).encode()
    return packaged

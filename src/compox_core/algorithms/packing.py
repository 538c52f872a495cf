"""From an algorithm's folder or zip to what the registry stores."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compox_core.algorithms.archives import ArchiveLimits, extract_zip
from compox_core.algorithms.config import AlgorithmConfig, parse_pyproject
from compox_core.algorithms.folders import SKIPPED, FolderContents, walk
from compox_core.algorithms.importable import check_importable
from compox_core.algorithms.inspection import inspect_runner
from compox_core.algorithms.transform import HERE, check_syntax, compiled, minify, python_of
from compox_core.algorithms.zipping import entry_of
from compox_core.errors import PackageError
from compox_core.settings import Limits

CHUNK = 1024 * 1024
CODE = (".py", ".pyc")


@dataclass(frozen=True)
class PackedAsset:
    """A file that is no code: SHA-256 and size in bytes of its content, and where it can be read."""

    sha256: str
    size: int
    path: Path


@dataclass(frozen=True)
class AlgorithmPackage:
    """A parsed algorithm, every part named by its content.

    `module_archive` is a zip of the `.py` (or `.pyc`) files at their paths relative to the root. `module_id` is the
    SHA-256 over the source before minifying plus the options, so another minifier makes no new module. `python` is
    set where the module holds compiled code. Paths are readable until the context of `open_package` ends.
    """

    config: AlgorithmConfig
    module_id: str
    module_archive: Path
    module_sha256: str
    module_size: int
    python: str | None
    assets: dict[str, PackedAsset]
    warnings: list[str]
    root: Path


@contextmanager
def open_package(
    source: Path,
    *,
    name: str | None = None,
    major: str | None = None,
    limits: ArchiveLimits | None = None,
    is_zip: bool = False,
) -> Iterator[AlgorithmPackage]:
    """Parse, check and pack an algorithm from its folder or a `.zip` of it; `is_zip` says that it is one by any name.

    Of a zip, the root is its one top-level folder where that holds `pyproject.toml`, else the archive's root.

    Raises:
        PackageError: `deploy_path_not_found`, `invalid_deploy_path_type`, `invalid_deployment_zip`,
            `deployment_zip_failed`, `algorithm_runner_not_found`, `invalid_pyproject`, `invalid_algorithm_name`,
            `algorithm_module_create_failed`, `python_version_mismatch`, `unsafe_symlink`, `invalid_file`,
            `too_many_files`, `algorithm_module_import_check_failed`.
    """
    source, bounds = Path(source), limits or Limits()
    with tempfile.TemporaryDirectory(prefix="compox-pack-", ignore_cleanup_errors=True) as workplace:
        root = _root(source, Path(workplace), bounds, is_zip)
        contents = walk(root, bounds.max_archive_members)
        yield _pack(_Source(source, root, contents), Path(workplace), name, major)


def _root(source: Path, workplace: Path, limits: ArchiveLimits, is_zip: bool) -> Path:
    try:
        source.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero character
        why = getattr(error, "strerror", None) or str(error)
        raise _path_error(
            source, "deploy_path_not_found", f"cannot be found ({why}); check how it is written"
        ) from error
    if source.is_dir():
        return source
    if not (is_zip or source.suffix.lower() == ".zip") or not source.is_file():
        raise _path_error(
            source,
            "invalid_deploy_path_type",
            "is neither a folder nor a .zip file; give the folder with Runner.py and pyproject.toml, or a zip of it",
        )
    target = workplace / "unzipped"
    target.mkdir()
    extract_zip(source, target, limits)
    entries = [entry for entry in target.iterdir() if entry.name not in SKIPPED]
    if len(entries) == 1 and (entries[0] / "pyproject.toml").is_file():
        return entries[0]
    return target


def _path_error(path: Path, code: str, what: str) -> PackageError:
    return PackageError(f"The path '{path}' {what}.", code=code, details={"path": str(path)})


@dataclass(frozen=True)
class _Source:
    """What is packed: the path that was named, the folder that is the root, the files in it."""

    named: Path
    root: Path
    contents: FolderContents

    def code(self, suffix: str) -> dict[str, bytes]:
        """Return the files with this suffix by path."""
        return {name: _read(path, name) for name, path in self.contents.files.items() if path.suffix == suffix}


def _pack(source: _Source, workplace: Path, name: str | None, major: str | None) -> AlgorithmPackage:
    config, warnings = _config(source, name, major)
    modules, precompiled, unused = _modules(source)
    if not precompiled:
        for relative, content in modules.items():
            check_syntax(content, relative)
    warnings = [
        *warnings,
        *source.contents.warnings,
        *unused,
        *inspect_runner(modules, config.metadata.algorithm_type),
    ]
    python = _python(modules, config, precompiled)
    built = _built(modules, config, precompiled)
    if config.check_importable:
        check_importable(_unpacked(built, workplace / "module"))
    archive = workplace / "module.zip"
    digest, size = _write_archive(built, archive)
    return AlgorithmPackage(
        config=config,
        module_id=_module_id(modules, config, python),
        module_archive=archive,
        module_sha256=digest,
        module_size=size,
        python=python,
        assets={
            relative: _asset(path, relative)
            for relative, path in source.contents.files.items()
            if path.suffix not in CODE
        },
        warnings=warnings,
        root=source.root,
    )


def _config(source: _Source, name: str | None, major: str | None) -> tuple[AlgorithmConfig, list[str]]:
    path = source.contents.files.get("pyproject.toml")
    if path is None:
        problem = "there is no pyproject.toml"
        raise PackageError(
            f"'{source.named}' cannot be deployed: {problem}. Write one with [project] name and version, and "
            "[tool.compox].",
            code="invalid_pyproject",
            details={"issues": [problem], "algorithm_directory": str(source.named)},
        )
    where = f"The pyproject.toml of '{source.named}'"
    return parse_pyproject(_read(path, "pyproject.toml"), where, name=name, major=major)


def _modules(source: _Source) -> tuple[dict[str, bytes], bool, list[str]]:
    """Return the code files by path, whether they are compiled already, and warnings about those of the other kind."""
    precompiled = "Runner.py" not in source.contents.files
    if precompiled and "Runner.pyc" not in source.contents.files:
        raise PackageError(
            f"'{source.named}' has no Runner.py at its root: write one with a class `Runner`.",
            code="algorithm_runner_not_found",
            details={"algorithm_directory": str(source.named)},
        )
    taken, other = (".pyc", ".py") if precompiled else (".py", ".pyc")
    modules = source.code(taken)
    known = {name.removesuffix(taken) for name in modules}
    unused = [
        f"'{name}' is left out, because Runner{taken} is there and {name.removesuffix(other)}{taken} is not."
        for name, path in source.contents.files.items()
        if path.suffix == other and name.removesuffix(other) not in known
    ]
    return modules, precompiled, unused


def _python(modules: dict[str, bytes], config: AlgorithmConfig, precompiled: bool) -> str | None:
    if precompiled:
        for relative, content in modules.items():
            python_of(content, relative)
        return HERE
    return HERE if config.pyc_only else None


def _built(modules: dict[str, bytes], config: AlgorithmConfig, precompiled: bool) -> dict[str, bytes]:
    if precompiled:
        return modules
    built = {}
    for relative, content in modules.items():
        source = minify(content, relative) if config.obfuscate else content
        if config.pyc_only:
            built[relative + "c"] = compiled(source, relative)
        else:
            built[relative] = source
    return built


def _module_id(modules: dict[str, bytes], config: AlgorithmConfig, python: str | None) -> str:
    options = {"obfuscate": config.obfuscate, "pyc_only": config.pyc_only, "python": python}
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for relative, content in sorted(modules.items()):
        digest.update(relative.encode() + b"\0" + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _write_archive(built: dict[str, bytes], archive: Path) -> tuple[str, int]:
    """Write the same bytes for the same modules, whenever it is done; return their SHA-256 and size."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for relative, content in sorted(built.items()):
            target.writestr(entry_of(relative, deflated=True), content)
    content = archive.read_bytes()
    return hashlib.sha256(content).hexdigest(), len(content)


def _unpacked(built: dict[str, bytes], folder: Path) -> Path:
    for relative, content in built.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def _asset(path: Path, relative: str) -> PackedAsset:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as stream:
            before = os.fstat(stream.fileno())
            # A file that grows as fast as it is read would never end.
            while size <= before.st_size and (chunk := stream.read(CHUNK)):
                digest.update(chunk)
                size += len(chunk)
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise _unreadable(relative, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
        raise PackageError(
            f"'{relative}' changed while it was read: deploy again when nothing writes to it.",
            code="invalid_file",
            details={"path": relative},
            retryable=True,
        )
    return PackedAsset(digest.hexdigest(), size, path)


def _read(path: Path, relative: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(relative, error) from error


def _unreadable(relative: str, error: OSError) -> PackageError:
    return PackageError(
        f"'{relative}' cannot be read: {error.strerror}.", code="invalid_file", details={"path": relative}
    )

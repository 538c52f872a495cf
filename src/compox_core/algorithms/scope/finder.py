"""Finds and loads the modules of algorithms, and gives each an `__import__` of its own."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from compox_core.algorithms.scope.folders import in_place, root_folder
from compox_core.algorithms.scope.imports import ScopedImport
from compox_core.algorithms.scope.legacy import LegacyFinder

INITS = ("__init__.py", "__init__.pyc")
EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)


class ScopeFinder(MetaPathFinder):
    """Finds `<package>.<root>` and everything below it; one instance a process."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._builtins: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of an algorithm; None for every other name."""
        if not fullname.startswith(self.package + "."):
            return None
        root, _, inner = fullname[len(self.package) + 1 :].partition(".")
        if inner:
            return self._search(fullname, root, path or [])
        folder = root_folder(root)
        if folder is None:
            return None
        return self._package_spec(fullname, root, folder)

    def _search(self, fullname: str, root: str, directories: Sequence[str]) -> ModuleSpec | None:
        tail = fullname.rpartition(".")[2]
        for directory in directories:
            folder = Path(directory)
            try:
                names = {entry.name for entry in folder.iterdir()}
            except OSError:
                continue
            # As Python has it: a package with `__init__`, then a module, then a folder without.
            if tail in names and has_init(folder / tail):
                return self._package_spec(fullname, root, folder / tail)
            for suffix in (".py", ".pyc"):
                if tail + suffix in names:
                    return self._file_spec(fullname, root, folder / (tail + suffix))
            if any(tail + suffix in names for suffix in EXTENSIONS):
                return importlib.machinery.PathFinder.find_spec(fullname, [directory])
            if tail in names and holds_code(folder / tail):
                return self._package_spec(fullname, root, folder / tail)
        return None

    def _package_spec(self, fullname: str, root: str, folder: Path) -> ModuleSpec:
        for name in INITS:
            if (folder / name).is_file():
                spec = self._file_spec(fullname, root, folder / name)
                spec.submodule_search_locations = [str(folder)]
                return spec
        spec = ModuleSpec(fullname, _EmptyPackageLoader(self, root), is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec

    def _file_spec(self, fullname: str, root: str, path: Path) -> ModuleSpec:
        loader: Loader
        if path.suffix == ".py":
            loader = _SourceLoader(fullname, str(path), self, root)
        else:
            loader = _BytecodeLoader(fullname, str(path), self, root)
        spec = importlib.util.spec_from_file_location(fullname, path, loader=loader)
        if spec is None:  # spec_from_file_location answers None for paths that it cannot make sense of
            raise ImportError(f"{path} cannot be imported", name=fullname, path=str(path))
        return spec

    def prepare(self, module: ModuleType, root: str) -> None:
        """Give a module that is about to run the builtins of its algorithm."""
        with self._lock:
            scoped = self._builtins.get(root)
            if scoped is None:
                folder = root_folder(root)
                importer = ScopedImport(f"{self.package}.{root}", folder or Path(), holds_code)
                scoped = self._builtins[root] = {**vars(builtins), "__import__": importer}
        module.__dict__["__builtins__"] = scoped

    def forget(self, root: str) -> None:
        """Drop every module of `root`, so that the next import reads its folder anew."""
        name = f"{self.package}.{root}"
        for loaded in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
            sys.modules.pop(loaded, None)
        package = sys.modules.get(self.package)
        if package is not None:
            package.__dict__.pop(root, None)
        with self._lock:
            self._builtins.pop(root, None)


class _SourceLoader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, finder: ScopeFinder, root: str) -> None:
        super().__init__(fullname, path)
        self._finder = finder
        self._root = root

    def exec_module(self, module: ModuleType) -> None:
        self._finder.prepare(module, self._root)
        super().exec_module(module)

    def path_stats(self, path: str) -> Any:
        if in_place(self._root):
            # An edit within a second and of equal size would be taken for the cached bytecode; and an author's
            # folder is not ours to write `__pycache__` into. Without stats importlib neither reads nor writes it.
            raise OSError
        return super().path_stats(path)


class _BytecodeLoader(SourcelessFileLoader):
    def __init__(self, fullname: str, path: str, finder: ScopeFinder, root: str) -> None:
        super().__init__(fullname, path)
        self._finder = finder
        self._root = root

    def exec_module(self, module: ModuleType) -> None:
        self._finder.prepare(module, self._root)
        super().exec_module(module)


class _EmptyPackageLoader(Loader):
    """Loads a folder that has no `__init__` as an ordinary empty package."""

    def __init__(self, finder: ScopeFinder, root: str) -> None:
        self._finder = finder
        self._root = root

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._finder.prepare(module, self._root)


def has_init(folder: Path) -> bool:
    """Return whether a folder says that it is a package."""
    return any((folder / name).is_file() for name in INITS)


def holds_code(folder: Path) -> bool:
    """Return whether a folder or one below it has a Python file; a folder of data is no package."""
    if not folder.is_dir():
        return False
    for _, folders, names in os.walk(folder):
        if any(name.endswith((".py", ".pyc", *EXTENSIONS)) for name in names):
            return True
        folders[:] = [name for name in folders if name != "__pycache__"]
    return False


def install(package: str) -> None:
    """Put the finders in place, once a process: ours first, the one for older names last."""
    if not any(isinstance(finder, ScopeFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ScopeFinder(package))
        sys.meta_path.append(LegacyFinder("compox"))
        sys.meta_path.insert(0, LegacyFinder(f"{package}.legacy_names"))


def installed_finder() -> ScopeFinder:
    """Return the finder of this process."""
    return next(finder for finder in sys.meta_path if isinstance(finder, ScopeFinder))

"""Lets the modules of one algorithm import each other by the names that they have in its folder.

This file is copied into the modules of bundles of version 1, as `_compox_scope.py`, and runs where those are imported:
it may use nothing but the standard library of Python 3.10. There, a module has the package's name before its own, so
that `import helpers` would find nothing, or a stranger. What this does concerns that one package: the finders of its
folders are replaced, and its modules get builtins with another `__import__`. A server of compox-core does all this by
itself; here it sees to it that nothing is done.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    SOURCE_SUFFIXES,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType
from typing import Any

NEW = "compox_core"
PARTS = ("data", "errors", "runners", "tasks", "training")


def install(package: str, folders: Iterable[str], own: Sequence[str], names: Mapping[str, tuple[str, str]]) -> None:
    """Give the modules of a package, whose `__init__` calls this, their names.

    Args:
        package: Its name.
        folders: Its `__path__`.
        own: The names of the algorithm's own modules and packages at its root.
        names: Where the names of `compox_core` are found: a module and its attribute.
    """
    if "." in package:
        return
    scoped = {**vars(builtins), "__import__": _Import(package, frozenset(own), names)}
    sys.modules[package].__dict__["__builtins__"] = scoped
    kinds = (partial(_Source, scoped), SOURCE_SUFFIXES), (partial(_Bytecode, scoped), BYTECODE_SUFFIXES)
    for top in folders:
        for folder, _, _ in os.walk(top):
            sys.path_importer_cache[folder] = FileFinder(folder, *kinds)  # type: ignore[arg-type]


def run(package: str, name: str, namespace: dict[str, Any]) -> None:
    """Run a module of the package in the namespace of another."""
    spec = importlib.util.find_spec(f"{package}.{name}")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{package} has no {name}", name=name)
    exec(spec.loader.get_code(spec.name), namespace)  # type: ignore[attr-defined]


class _Source(SourceFileLoader):
    def __init__(self, scoped: dict[str, Any], fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._scoped = scoped

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._scoped
        super().exec_module(module)


class _Bytecode(SourcelessFileLoader):
    def __init__(self, scoped: dict[str, Any], fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._scoped = scoped

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = self._scoped
        super().exec_module(module)


class _Import:
    """`__import__` for which the algorithm's own names come first."""

    def __init__(self, package: str, own: frozenset[str], names: Mapping[str, tuple[str, str]]) -> None:
        self._package = package
        self._own = own
        self._names = names
        self._importlib = _Importlib(self)

    def __call__(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level == 0 and top in self._own:
            module = builtins.__import__(f"{self._package}.{name}", globals, locals, fromlist or (), 0)
            return module if fromlist else sys.modules[f"{self._package}.{top}"]
        if level == 0 and top == NEW:
            return _Elsewhere(name if fromlist else NEW, self._names)
        module = builtins.__import__(name, globals, locals, fromlist or (), level)
        return self._importlib if level == 0 and module is importlib else module

    def module(self, name: str, package: str | None) -> ModuleType:
        """Import a module by name, as `importlib.import_module` does."""
        top = name.partition(".")[0]
        if top == NEW:
            return _Elsewhere(name, self._names)
        return importlib.import_module(f"{self._package}.{name}" if top in self._own else name, package)


class _Importlib(ModuleType):
    """`importlib` whose `import_module` knows the algorithm's own names."""

    def __init__(self, scope: _Import) -> None:
        super().__init__("importlib")
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module by name."""
        return self._scope.module(name, package)


class _Elsewhere(ModuleType):
    """A module of compox_core, whose names are looked up where they are here."""

    def __init__(self, name: str, names: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(name)
        self._names = names

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            module, attribute = self._names[name]
            return getattr(importlib.import_module(module), attribute)
        if self.__name__ == NEW and name in PARTS:
            return _Elsewhere(f"{NEW}.{name}", self._names)
        raise AttributeError(f"'{self.__name__}' has no '{name}' on this server")

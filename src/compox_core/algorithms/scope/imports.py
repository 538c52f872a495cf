"""The `__import__` that the modules of one algorithm use."""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

LEGACY_PACKAGE = "compox_core.algorithms.scope.legacy_names"


class ScopedImport:
    """Resolves absolute imports as an author means them.

    A name of the algorithm's own root folder is the algorithm's; `compox` is ours; everything else is the world's.
    Relative imports need no help: the modules have real package names.
    """

    def __init__(self, root: str, folder: Path, holds_code: Callable[[Path], bool]) -> None:
        self._root = root
        self._own = own_names(folder, holds_code)
        self._importlib = ScopedImportlib(self)

    def __call__(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import as `builtins.__import__` does."""
        if level:
            self._check_level(level, globals)
        home = None if level else self.home(name)
        if home is None:
            module = builtins.__import__(name, globals, locals, fromlist or (), level)
            return self._importlib if level == 0 and module is importlib else module
        try:
            module = builtins.__import__(f"{home}.{name}", globals, locals, fromlist or (), 0)
        except ModuleNotFoundError as error:
            raise _as_author_sees_it(error, home) from error.__cause__
        return module if fromlist else sys.modules[f"{home}.{name.partition('.')[0]}"]

    def _check_level(self, level: int, globals: Mapping[str, object] | None) -> None:
        package = (globals or {}).get("__package__")
        if isinstance(package, str) and f"{package}.".startswith(f"{self._root}."):
            depth = package.count(".") - self._root.count(".")
            if level - 1 > depth:  # or the algorithm would see what lies around the scope
                raise ImportError("attempted relative import beyond the algorithm's folder", name=package)

    def home(self, name: str) -> str | None:
        """Return the package below which the absolute `name` lies for this algorithm; None for the world's."""
        top = name.partition(".")[0]
        if top in self._own:
            return self._root
        return LEGACY_PACKAGE if top == "compox" else None


class ScopedImportlib(ModuleType):
    """`importlib` as an algorithm sees it: `import_module` knows the algorithm's own names."""

    def __init__(self, scope: ScopedImport) -> None:
        super().__init__("importlib")
        self._scope = scope

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module by name, as `importlib.import_module` does."""
        home = None if name.startswith(".") else self._scope.home(name)
        if home is None:
            return importlib.import_module(name, package)
        try:
            return importlib.import_module(f"{home}.{name}")
        except ModuleNotFoundError as error:
            raise _as_author_sees_it(error, home) from error.__cause__


def own_names(folder: Path, holds_code: Callable[[Path], bool]) -> frozenset[str]:
    """Return the top-level module names of an algorithm's root folder.

    A folder without `__init__` counts only where no installed package has its name: a folder `onnx/` of models must
    not hide the library.
    """
    names = set()
    for entry in folder.iterdir():
        name = entry.name.partition(".")[0]
        if not name.isidentifier():
            continue
        if entry.is_file():
            if entry.suffix in (".py", ".pyc", ".so", ".pyd"):
                names.add(name)
        elif entry.name == name and holds_code(entry):
            initialised = (entry / "__init__.py").is_file() or (entry / "__init__.pyc").is_file()
            if initialised or not _is_installed(name):
                names.add(name)
    return frozenset(names - {"__init__"})


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        # ValueError: a module in sys.modules without a spec (`__main__`, say); it is there.
        return name in sys.modules


def _as_author_sees_it(error: ModuleNotFoundError, home: str) -> ModuleNotFoundError:
    """Name a missing module as the algorithm imports it."""
    prefix = home + "."
    if error.name is None or not error.name.startswith(prefix):
        return error
    name = error.name[len(prefix) :]
    where = "what compox-core provides under the old name" if home == LEGACY_PACKAGE else "the algorithm's folder"
    return ModuleNotFoundError(f"No module named '{name}' in {where}", name=name)

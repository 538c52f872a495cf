"""The dotted names that algorithms of compox 3.2 import, and what stands behind them here.

The modules exist in name only: an attribute is looked up when it is asked for, so that `import` costs nothing. They
serve `compox.*` inside algorithms always, and for installed helper packages where no real `compox` is installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

RUNNERS = (
    "BaseRunner",
    "Image2AlignmentRunner",
    "Image2EmbeddingRunner",
    "Image2ImageRunner",
    "Image2MultiRegionSegmentationRunner",
    "Image2SegmentationRunner",
    "Segmentation2SegmentationRunner",
)
SCHEMAS = (
    "AlignmentSchema",
    "DataSchema",
    "EmbeddingSchema",
    "GenericSchema",
    "ImageSchema",
    "MeshSchema",
    "MultiRegionSegmentationSchema",
    "SegmentationSchema",
    "VolumeSchema",
)
EXCEPTIONS = {
    "CompoxError": "CompoxError",
    "CompoxValidationError": "InvalidInputError",
    "CompoxNotFoundError": "NotFoundError",
    "CompoxConflictError": "ConflictError",
    "CompoxConfigurationError": "SettingsError",
    "CompoxStorageError": "StorageError",
    "CompoxStateError": "StateError",
    "CompoxAlgorithmError": "AlgorithmError",
    "CompoxAssetError": "NotFoundError",
    "CompoxBundleError": "PackageError",
    "CompoxCheckpointError": "InvalidInputError",
    "CompoxDeploymentError": "PackageError",
    "CompoxExecutionError": "AlgorithmError",
    "CompoxFileError": "DataError",
    "CompoxImportError": "AlgorithmError",
    "CompoxTaskError": "TaskFailedError",
    "CompoxTrainingError": "AlgorithmError",
    "TaskStoppedException": "TaskStoppedException",
}
TRAINING = {
    "TrainingHandler": "compox_core.training.handler",
    "TrainingDataset": "compox_core.training.dataset",
    "TempStore": "compox_core.training.temp_store",
    "TrainingSample": "compox_core.engine.legacy_samples",
    "SampleManifest": "compox_core.engine.legacy_samples",
    "AlgorithmCheckpoint": "compox_core.engine.legacy_checkpoints",
    "CheckpointManifest": "compox_core.engine.legacy_checkpoints",
    "DebuggingTrainingHandler": "compox_core.engine.legacy_training",
}


def _table() -> dict[str, dict[str, tuple[str, str]]]:
    """Return {module below `compox`: {attribute: (our module, our attribute)}}."""
    table: dict[str, dict[str, tuple[str, str]]] = {
        f"algorithm_utils.{name}": {name: ("compox_core.runners", name)} for name in RUNNERS
    }
    table["algorithm_utils.io_schemas"] = {name: ("compox_core.data", name) for name in SCHEMAS}
    table["algorithm_utils.runner_context"] = {
        "current_runner_context": ("compox_core.runners", "current_runner_context")
    }
    debug = "compox_core.engine.legacy_debug"
    table["algorithm_utils.LocalDebugSession"] = {"LocalDebugSession": (debug, "LocalDebugSession")}
    table["algorithm_debug"] = {name: (debug, name) for name in ("debug", "debug_run", "build_params_dict", "app")}
    table["tasks.TaskHandler"] = {
        "TaskHandler": ("compox_core.tasks", "TaskHandler"),
        "TaskStoppedException": ("compox_core.errors", "TaskStoppedException"),
    }
    table["tasks.context_handler"] = {"current_handler": ("compox_core.runners", "current_handler")}
    handler = "compox_core.engine.legacy_handler"
    table["tasks.DebuggingTaskHandler"] = {"DebuggingTaskHandler": (handler, "DebuggingTaskHandler")}
    table["database_connection.InMemoryConnection"] = {"InMemoryConnection": (handler, "InMemoryConnection")}
    table |= {f"training.{name}": {name: (home, name)} for name, home in TRAINING.items()}
    table["session.TaskSession"] = {"TaskSession": ("compox_core.tasks", "Session")}
    table["session.DataCache"] = {"DataCache": ("compox_core.tasks", "DataCache")}
    table["exceptions"] = {old: ("compox_core.errors", new) for old, new in EXCEPTIONS.items()}
    return table


def older_names() -> dict[str, tuple[str, str]]:
    """Return {our name: (module of compox 3.2, name there)} for what algorithms may import from either."""
    found: dict[str, tuple[str, str]] = {}
    for module, names in _table().items():
        for old, (home, new) in names.items():
            if not home.startswith("compox_core.engine"):
                found.setdefault(new, (f"compox.{module}", old))
    return found


class LegacyFinder(MetaPathFinder):
    """Finds `<prefix>.compox…`, or `compox…` itself where the prefix is `compox`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._table = _table()
        self._packages = {""} | {name.rpartition(".")[0] for name in self._table}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that stands for an old name; None for every other."""
        name = self._below(fullname)
        if name is None or (name not in self._table and name not in self._packages):
            return None
        package = name in self._packages
        return ModuleSpec(fullname, _LegacyLoader(self._table.get(name, {})), is_package=package)

    def _below(self, fullname: str) -> str | None:
        if fullname == self._prefix:
            return ""
        if not fullname.startswith(self._prefix + "."):
            return None
        rest = fullname[len(self._prefix) + 1 :]
        if self._prefix == "compox":
            return rest
        top, _, inner = rest.partition(".")
        return inner if top == "compox" else None


class _LegacyLoader(Loader):
    def __init__(self, names: dict[str, tuple[str, str]]) -> None:
        self._names = names

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def look_up(name: str) -> Any:
            if name not in self._names:
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
            home, attribute = self._names[name]
            return getattr(importlib.import_module(home), attribute)

        module.__dict__["__getattr__"] = look_up
        module.__dict__["__all__"] = sorted(self._names)

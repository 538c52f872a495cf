"""The class that an algorithm's author subclasses."""

from __future__ import annotations

import io
import numbers
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from compox_core.errors import AlgorithmError, InvalidInputError, StateError
from compox_core.runners.context import Handler, current_handler
from compox_core.runners.given import given_schema
from compox_core.runners.state import Phase, RunnerState
from compox_core.runners.training import TrainingCalls

if TYPE_CHECKING:
    from compox_core.data import DataSchema

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def checked_progress(progress: Any) -> float:
    """Return a progress as a float in [0, 1]. Raises InvalidInputError, which is a ValueError, for anything else."""
    if not isinstance(progress, numbers.Real) or not 0 <= float(progress) <= 1:  # which NaN is not
        raise InvalidInputError(f"The progress is a real number from 0 to 1, not {progress!r}", code="invalid_progress")
    return float(progress)


class BaseRunner(TrainingCalls):
    """An algorithm: subclass it as `Runner` in `Runner.py` and write `preprocess`, `inference` and `postprocess`.

    `load_assets` runs once for a deployed version and device; what it sets on `self` is kept, shared by all runs and
    locked. Each run gets an instance of its own, so every other attribute belongs to one run, and threads that the
    algorithm starts see the same `self`. `__init__` runs at the start of each run (and once before `load_assets`);
    it may take no parameters, or `task_handler` and `device`.

    The three hooks are called with positional arguments: the output of one is the input of the next, and `args` is
    the dict of parameters with declared defaults filled in, never None. `benchmark` and `train` stand beside them.
    """

    algorithm_type: ClassVar[str] = "Generic"

    def __init__(self, task_handler: Any = None, device: Any = None, *args: Any, **kwargs: Any) -> None:
        """Accept and ignore the arguments that older algorithms pass on; the host binds task and device itself."""

    # -- attributes -------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        state: RunnerState | None = self.__dict__.get("_compox")
        if state is None or state.admits(self, name, value):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        state: RunnerState | None = self.__dict__.get("_compox")
        run = state.forward_to() if state is not None and not name.startswith("__") else None
        if run is not None:
            return getattr(run, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        state: RunnerState | None = self.__dict__.get("_compox")
        if state is not None and name in state.assets and state.phase is not Phase.LOADING:
            raise AttributeError(f"'{name}' was set by load_assets and is shared by all runs: it cannot be deleted.")
        object.__delattr__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        # A runner that travels to a child process (a DataLoader's worker, say) leaves its task behind.
        return {name: value for name, value in self.__dict__.items() if name != "_compox"}

    @property
    def task_handler(self) -> Handler:
        """The task of this run. Raises StateError (`task_handler_not_set`) outside a run."""
        state: RunnerState | None = self.__dict__.get("_compox")
        run = state.forward_to() if state is not None else None
        if run is not None:
            return run.task_handler
        handler = (state.handler if state is not None else None) or current_handler.get()
        if handler is None:
            raise StateError(
                f"{type(self).__name__} is not part of a run, so it has no task: deploy the algorithm and run it, "
                "or try it with `compox-cli debug run`.",
                code="task_handler_not_set",
            )
        return handler

    @property
    def device(self) -> str:
        """The runtime device of this run: `cpu`, `cuda`, `cuda:N` or `mps`."""
        state: RunnerState | None = self.__dict__.get("_compox")
        return state.device if state is not None else "cpu"

    @property
    def runner_context(self) -> dict[str, Any]:
        """The attributes that belong to this run alone, as a live mapping would show them now."""
        state: RunnerState | None = self.__dict__.get("_compox")
        assets = state.assets if state is not None else frozenset()
        return {name: value for name, value in self.__dict__.items() if name not in assets and name != "_compox"}

    # -- what an author writes --------------------------------------------------------------------------------------

    def load_assets(self) -> None:
        """Load models and tables once; what is set on `self` here is shared by all runs and locked."""

    def preprocess(self, input_data: dict[str, Any], args: dict[str, Any]) -> Any:
        """Fetch the inputs: `input_data["input_dataset_ids"]` lists their file ids."""
        raise self._missing_hook("preprocess")

    def inference(self, data: Any, args: dict[str, Any]) -> Any:
        """Compute the result from what `preprocess` returned."""
        raise self._missing_hook("inference")

    def postprocess(self, data: Any, args: dict[str, Any]) -> list[str]:
        """Store the result of `inference` and return the ids of the files that were posted."""
        raise self._missing_hook("postprocess")

    def benchmark(self, args: dict[str, Any]) -> dict[str, Any]:
        """Measure the algorithm and return what came of it: numbers and text by name, that JSON can hold."""
        raise self._missing_hook("benchmark", "a benchmark", "args")

    def train(self, training_data: list[str], args: dict[str, Any]) -> Any:
        """Learn from the samples with these ids, and save what was learned with `save_checkpoint`, once at least.

        What it returns is not looked at.
        """
        raise self._missing_hook("train", "a training", "training_data, args")

    def _missing_hook(self, name: str, job: str = "an execution", arguments: str = "data, args") -> AlgorithmError:
        return AlgorithmError(
            f"The Runner has no `{name}`, which {job} needs: write `def {name}(self, {arguments})` in Runner.py.",
            code="runner_hook_missing",
            details={"hook": name},
        )

    # -- what the host calls ----------------------------------------------------------------------------------------

    def run(self, input_data: dict[str, Any], args: dict[str, Any] | None = None) -> Any:
        """Run the three stages in order and return what `postprocess` returned: the ids of the output files."""
        args = {} if args is None else args
        prepared = self.preprocess_base(input_data, args)
        result = self.inference_base(prepared, args)
        del prepared
        return self.postprocess_base(result, args)

    def run_benchmark(self, args: dict[str, Any] | None = None) -> Any:
        """Run and time `benchmark` and return what it returned, `{}` where that is nothing."""
        result = self._timed("Benchmark", self.benchmark, {} if args is None else args)
        try:
            return result or {}
        except (ValueError, RuntimeError):  # an array is neither true nor false; the host says what is wrong with it
            return result

    def run_training(self, training_data: list[str], args: dict[str, Any] | None = None) -> None:
        """Run and time `train`. Raises StateError (`training_handler_required`) where the task is no training."""
        self._training("save_checkpoint")
        self._timed("Training", self.train, list(training_data), {} if args is None else args)

    def preprocess_base(self, input_data: dict[str, Any], args: dict[str, Any] | None = None) -> Any:
        """Run and time `preprocess`."""
        return self._stage("Preprocessing", self.preprocess, input_data, args)

    def inference_base(self, data: Any, args: dict[str, Any] | None = None) -> Any:
        """Run and time `inference`."""
        return self._stage("Inference", self.inference, data, args)

    def postprocess_base(self, data: Any, args: dict[str, Any] | None = None) -> Any:
        """Run and time `postprocess`."""
        return self._stage("Postprocessing", self.postprocess, data, args)

    def _stage(self, title: str, hook: Any, data: Any, args: dict[str, Any] | None) -> Any:
        return self._timed(title, hook, data, {} if args is None else args)

    def _timed(self, title: str, hook: Any, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = hook(*arguments)
        self.log_message(f"{title} finished in {time.perf_counter() - started:.3f} seconds.")
        return result

    # -- what an author calls ---------------------------------------------------------------------------------------

    def set_progress(self, progress: float) -> None:
        """Say how far the run is, as a real number in [0, 1]; costs microseconds. Raises ValueError for others."""
        self.task_handler.set_progress(checked_progress(progress))

    def log_message(self, message: str, logging_level: str = "INFO") -> None:
        """Write a line to the task's log. Levels: DEBUG (kept out of the record), INFO, WARNING, ERROR."""
        if logging_level not in LOG_LEVELS:
            raise InvalidInputError(
                f"log_message knows the levels {', '.join(LOG_LEVELS)}, not {logging_level!r}.",
                code="invalid_log_level",
            )
        self.task_handler.log_message(str(message), logging_level)

    def fetch_data(
        self,
        file_ids: Sequence[str],
        schema: type[DataSchema] | None = None,
        *keys: str,
        parallel: bool = False,
        pydantic_data_schema: type[DataSchema] | None = None,
    ) -> list[dict[str, Any]]:
        """Read stored files as dicts that fit `schema`, in the order of `file_ids`.

        Args:
            file_ids: Ids of stored files.
            schema: The schema that every file must fit; the result holds exactly its fields.
            keys: Read only these keys; a key that a file lacks is None.
            parallel: Read several files at a time.
            pydantic_data_schema: The older name of `schema`.
        """
        return self.task_handler.fetch_data(
            file_ids, given_schema(schema, pydantic_data_schema, "fetch_data"), *keys, parallel=parallel
        )

    def post_data(
        self,
        data: Sequence[Mapping[str, Any]],
        schema: type[DataSchema] | None = None,
        parallel: bool = False,
        pydantic_data_schema: type[DataSchema] | None = None,
    ) -> list[str]:
        """Store dicts that fit `schema`, one file each, and return the ids of the files in order."""
        return self.task_handler.post_data(
            data, given_schema(schema, pydantic_data_schema, "post_data"), parallel=parallel
        )

    def fetch_asset(self, asset_path: str) -> io.BytesIO:
        """Return an asset of the algorithm as a `BytesIO`; the path is relative to the algorithm's root, with `/`."""
        return self.task_handler.fetch_asset(asset_path)

    def open_asset(self, asset_path: str) -> BinaryIO:
        """Open an asset for reading without loading it; close it after use."""
        return self.task_handler.open_asset(asset_path)

    def save_item_to_session(self, obj: Any, key: str) -> None:
        """Keep a live object under `key` for later runs with the same session token, in this process."""
        self.task_handler.save_item_to_session(obj, key)

    def load_item_from_session(self, key: str) -> Any:
        """Return what an earlier run saved. Raises KeyError when the session has no such item (any more)."""
        return self.task_handler.load_item_from_session(key)

    def remove_item_from_session(self, key: str) -> None:
        """Forget an item of the session; an absent key is no error."""
        self.task_handler.remove_item_from_session(key)

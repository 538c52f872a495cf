"""The work of a benchmark: an algorithm that measures itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from compox_core.errors import AlgorithmError
from compox_core.jobs.algorithm_work import AlgorithmWork
from compox_core.records import AlgorithmTaskRecord
from compox_core.records.plain import plain, written
from compox_core.runners import BaseRunner
from compox_core.tasks import TaskHandler

MOST_BYTES = 16 * 1024 * 1024
"""So large may what a benchmark found be as JSON: everybody who looks at its record gets it."""


class BenchmarkWork(AlgorithmWork):
    """Runs benchmarks in the thread that calls it, each in a session that is thrown away."""

    def _call(self, runner: BaseRunner, record: AlgorithmTaskRecord) -> Any:
        result = runner.run_benchmark(copy.deepcopy(record.additional_parameters))
        return as_data(result)  # here, because methods of the algorithm's own classes may be called by it

    def _checked(self, data: Any, handler: TaskHandler) -> dict[str, Any]:
        size = len(json.dumps(data))
        if size > MOST_BYTES:
            raise _wrong(f"it has {size} bytes as JSON; at most {MOST_BYTES} are kept. Return figures, not images")
        return {"data": data}


def as_data(result: Any) -> dict[str, Any]:
    """Return what `benchmark` returned as JSON holds it. Raises AlgorithmError (`invalid_result`)."""
    if not isinstance(result, Mapping):
        raise _wrong(f"it returned {type(result).__name__}")
    data = {}
    for key, value in result.items():
        if not isinstance(key, str):
            raise _wrong(f"it has the key {written(key)}, and keys must be strings")
        try:
            data.update(plain({key: value}))
        except ValueError as error:
            raise _wrong(f"its entry {written(key)} {error}") from error
    return data


def _wrong(what: str) -> AlgorithmError:
    return AlgorithmError(
        f"benchmark must return a dict of numbers, text, booleans, None, lists and dicts, but {what}.",
        code="invalid_result",
    )

"""The work of an execution: an algorithm on stored inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from compox_core.errors import AlgorithmError
from compox_core.jobs.algorithm_work import AlgorithmWork
from compox_core.records import AlgorithmTaskRecord, ExecutionRecord
from compox_core.runners import BaseRunner
from compox_core.tasks import Session, SessionStore, TaskHandler


class ExecutionWork(AlgorithmWork):
    """Runs executions in the thread that calls it."""

    @contextmanager
    def _session(self, sessions: SessionStore, record: AlgorithmTaskRecord) -> Iterator[tuple[Session, dict[str, Any]]]:
        with sessions.hold(record.session_token) as session:
            yield session, {"session_token": session.session_token}

    def _call(self, runner: BaseRunner, record: AlgorithmTaskRecord) -> Any:
        assert isinstance(record, ExecutionRecord)
        return runner.run(
            {"input_dataset_ids": list(record.input_dataset_ids)}, copy.deepcopy(record.additional_parameters)
        )

    def _checked(self, outputs: Any, handler: TaskHandler) -> dict[str, Any]:
        if not isinstance(outputs, Sequence) or isinstance(outputs, str | bytes):
            raise _wrong_outputs(f"it returned {type(outputs).__name__}")
        strangers = [item for item in outputs if not isinstance(item, str)]
        if strangers:
            raise _wrong_outputs(f"the list holds {type(strangers[0]).__name__}")
        missing = self._bench.files.exists_all([item for item in outputs if item not in handler.posted])
        if missing:
            raise _wrong_outputs(f"there is no file '{missing[0]}'")
        # Plain strings, where they were of a subclass (numpy.str_).
        return {"output_dataset_ids": [str(item) for item in outputs]}


def _wrong_outputs(what: str) -> AlgorithmError:
    return AlgorithmError(
        f"postprocess must return the list of file ids that post_data gave, but {what}.",
        code="invalid_result",
    )

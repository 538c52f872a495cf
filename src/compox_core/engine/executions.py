"""The executions of an engine."""

from __future__ import annotations

from collections.abc import Sequence

from compox_core.engine.submits import forget_promise, promised_id, submit_once
from compox_core.engine.tasks import Tasks
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import new_id
from compox_core.records import ExecutionRecord, ExecutionRequest, JobKind


class Executions(Tasks[ExecutionRecord]):
    """Runs of algorithms on stored files."""

    kind = JobKind.EXECUTION

    def submit_once(self, client_id: str, request: ExecutionRequest) -> tuple[ExecutionRecord, bool]:
        """Submit a request that a client names by an id of its own, and may repeat.

        Returns the execution's record, and whether this call has submitted it. Raises what `submit` raises, and
        InvalidInputError (`invalid_client_id`), ConflictError (`submit_conflict`) where the id means another request.
        """
        return submit_once(
            self._bench.store,
            client_id,
            request,
            submit=lambda execution_id: self._submit(request, execution_id, client_id),
            load=self.get,
        )

    def _deleted(self, record: ExecutionRecord) -> None:
        if record.client_id is not None:
            forget_promise(self._bench.store, record.client_id, record.task_id)

    def named(self, execution_id: str) -> ExecutionRecord:
        """Return a record by its id, or by the id that the client gave its submit. Raises NotFoundError."""
        try:
            return self.get(execution_id)
        except NotFoundError:
            promised = promised_id(self._bench.store, execution_id)
            if promised is None:
                raise
        return self.get(promised)

    def submit(self, request: ExecutionRequest) -> ExecutionRecord:
        """Check a request, record it and queue it; return the record as it was accepted.

        Raises:
            NotFoundError: `input_datasets_not_found`, `algorithm_not_found`, `minor_version_not_found`,
                `checkpoint_not_found`.
            InvalidInputError: `invalid_checkpoint` for one of another algorithm, `checkpoint_asset_incompatible` for
                one with paths that the version does not have.
            ParameterError: when a parameter breaks a declared rule.
            DataError: `invalid_hdf5_file` for an input that was put at a signed URL and is none.
            InvalidInputError: `task_session_not_supported` when a session is asked for where jobs go to machines
                that share no memory.
        """
        return self._submit(request, new_id())

    def _submit(self, request: ExecutionRequest, execution_id: str, client_id: str | None = None) -> ExecutionRecord:
        _refuse(self._bench.files.ready(request.input_dataset_ids))
        fields = self._to_run(request)
        if request.session_token and self._bench.sessions is None:
            raise InvalidInputError(
                "Sessions keep live objects in the memory of one process, and with the executor 'celery' the next "
                "run may go to another machine: leave session_token out, or run with 'processes' or 'threads'.",
                code="task_session_not_supported",
            )
        record = ExecutionRecord(execution_id=execution_id, client_id=client_id, **fields)
        # Once more when the queue names the inputs: a sweep that had not seen it may have taken them meanwhile.
        return self._queue(
            record,
            lambda: _refuse(self._bench.files.endangered(record.input_dataset_ids)),
            contested=client_id is not None,
        )


def _refuse(missing: Sequence[str]) -> None:
    """Raise NotFoundError (`input_datasets_not_found`) where an input is missing."""
    if missing:
        raise NotFoundError(
            "These input files do not exist (never uploaded, deleted or expired):\n" + "\n".join(missing),
            code="input_datasets_not_found",
            details={"missing_dataset_ids": list(missing)},
        )

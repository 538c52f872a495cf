"""What runs algorithms for somebody who holds arrays: an engine here, or a client of one elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from compox_core.engine.arranging import StoredFile, arrange_inputs
from compox_core.engine.handle import Progress, Result, TaskHandle, misfit
from compox_core.errors import CompoxError, NotFoundError
from compox_core.records import AlgorithmRecord, ExecutionRecord, ExecutionRequest


class HostedFiles(Protocol):
    """Stored files."""

    def upload(self, source: Path) -> str: ...
    def save(self, values: Mapping[str, Any]) -> str: ...
    def read(self, file_id: str, *keys: str) -> dict[str, Any]: ...
    def delete(self, file_id: str) -> None: ...


class HostedAlgorithms(Protocol):
    """Deployed algorithms."""

    def get(self, name: str, major: str | int | None = None) -> AlgorithmRecord: ...


class HostedExecutions(Protocol):
    """Runs."""

    def get(self, execution_id: str) -> ExecutionRecord: ...
    def log(self, execution_id: str) -> str: ...
    def stop(self, execution_id: str) -> None: ...
    def wait(self, execution_id: str, timeout: float | None = None) -> ExecutionRecord: ...


class Host(ABC):
    """Runs deployed algorithms on arrays, dicts and files, and gives arrays back."""

    @property
    @abstractmethod
    def files(self) -> HostedFiles:
        """The stored input and output files."""

    @property
    @abstractmethod
    def algorithms(self) -> HostedAlgorithms:
        """The deployed algorithms."""

    @property
    @abstractmethod
    def executions(self) -> HostedExecutions:
        """The runs."""

    def submit(
        self,
        algorithm: str,
        data: Any,
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        device: str | None = None,
        session_token: str | None = None,
        timeout_s: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> TaskHandle:
        """Store the inputs, queue a run, and return a handle to it at once.

        Args:
            algorithm: The name of a deployed algorithm.
            data: Images or other inputs, see `compox_core.engine.arrange_inputs`.
            major: The major version; None for the highest.
            minor: The minor version; None for the latest.
            device: `cpu`, `gpu`, `cuda:N` or `mps`; None for the algorithm's default.
            session_token: Continue that session.
            timeout_s: End the run as FAILED (`timed_out`) when it has run for so many seconds.
            parameters: Values for the parameters that the algorithm declares; the others get their defaults.
            more: The same, as keyword arguments, where a parameter's name is none of those above.

        Raises:
            NotFoundError, ParameterError, DataError: before anything is queued; the inputs that were stored for this
                run are removed again.
        """
        record = self.algorithms.get(algorithm, major)
        kind = self._type_of(record, minor)
        arranged = arrange_inputs(data, kind)
        stored: list[str] = []
        try:
            ids = [self._stored(item, stored) for item in arranged.items]
            execution_id = self._submit(
                _request(
                    algorithm_id=record.algorithm_id,
                    input_dataset_ids=ids,
                    algorithm_minor_version=None if minor is None else str(minor),
                    execution_device_override=device,
                    additional_parameters={**(parameters or {}), **more},
                    session_token=session_token,
                    timeout_s=timeout_s,
                )
            )
        except BaseException:  # whatever it is, it is raised again
            self._forget(stored)
            raise
        return TaskHandle(self, execution_id, arranged, kind)

    def run(
        self,
        algorithm: str,
        data: Any,
        *,
        major: str | int | None = None,
        minor: str | int | None = None,
        device: str | None = None,
        session_token: str | None = None,
        timeout_s: float | None = None,
        progress: Progress = True,
        timeout: float | None = None,
        parameters: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Result:
        """Run an algorithm, wait for it, and return its outputs arranged as the inputs were.

        Arguments are those of `submit`, and:

        Args:
            progress: Show a bar (True), nothing (False), or call this function with numbers in [0, 1].
            timeout: Wait so many seconds, from the submit on, and stop the run then.

        Raises:
            TaskFailedError: when the run failed or was stopped; its message has the cause.
            StateError: `wait_timed_out`.
        """
        handle = self.submit(
            algorithm,
            data,
            major=major,
            minor=minor,
            device=device,
            session_token=session_token,
            timeout_s=timeout_s,
            parameters=parameters,
            **more,
        )
        try:
            return handle.result(timeout, progress)
        except BaseException:  # Ctrl-C, the timeout, or a progress function that raises: nobody waits any more
            with suppress(CompoxError):  # it has ended, or the store or server is gone, which the caller is being told
                if not handle.done:
                    handle.stop()
            raise

    @abstractmethod
    def _submit(self, request: ExecutionRequest) -> str:
        """Queue a run on stored files and return its id."""

    def _type_of(self, record: AlgorithmRecord, minor: str | int | None) -> str:
        """Return the algorithm type of the version that is to run."""
        return record.metadata.algorithm_type

    def _stored(self, item: dict[str, Any] | Path | StoredFile, stored: list[str]) -> str:
        """Return the id of the file that holds `item`, storing it where it is not there."""
        if isinstance(item, StoredFile):
            return item.id
        stored.append(self.files.upload(item) if isinstance(item, Path) else self.files.save(item))
        return stored[-1]

    def _forget(self, stored: list[str]) -> None:
        for file_id in stored:
            try:
                self.files.delete(file_id)
            except NotFoundError:
                continue  # somebody else was faster
            except CompoxError:
                return  # the store or server is gone, which the caller is being told; retention clears the rest


def _request(**fields: Any) -> ExecutionRequest:
    try:
        return ExecutionRequest(**fields)
    except ValidationError as error:
        raise misfit(error) from error

"""A server in the hand of a notebook or a script."""

from __future__ import annotations

from typing import Any, Self

from compox_core.engine.host import Host
from compox_core.records import ExecutionRequest, TrainingRequest
from compox_http.client.connection import Connection
from compox_http.client.jobs import RemoteExecutions, RemoteTrainings
from compox_http.client.training import RemoteCheckpoints, RemoteSamples
from compox_http.client.views import RemoteAlgorithms, RemoteFiles

DEFAULT_URL = "http://127.0.0.1:5481"


class Client(Host):
    """Runs algorithms on a server as `Engine` runs them here: arrays in, arrays out.

    Nothing is asked of the server before the first call. Close it, or use it in a `with` statement. Any thread may
    use it.

    Args:
        url: Where the server is, as `compox-http serve` prints it.
        timeout: Seconds that the server may be silent before ConnectionFailed is raised; runs may take longer.

    Raises:
        MissingExtraError: when the `client` extra is not installed.
        InvalidInputError: `invalid_url`.
    """

    def __init__(self, url: str = DEFAULT_URL, *, timeout: float = 60.0) -> None:
        self._connection = Connection(url, timeout)
        self.url = self._connection.url
        self._files = RemoteFiles(self._connection)
        self._algorithms = RemoteAlgorithms(self._connection)
        self._executions = RemoteExecutions(self._connection)
        self._samples = RemoteSamples(self._connection, self._files)
        self._trainings = RemoteTrainings(self._connection)
        self._checkpoints = RemoteCheckpoints(self._connection, self._algorithms)

    @property
    def files(self) -> RemoteFiles:
        """The stored input and output files."""
        return self._files

    @property
    def algorithms(self) -> RemoteAlgorithms:
        """The deployed algorithms."""
        return self._algorithms

    @property
    def executions(self) -> RemoteExecutions:
        """The runs."""
        return self._executions

    @property
    def samples(self) -> RemoteSamples:
        """What trainings learn from."""
        return self._samples

    @property
    def trainings(self) -> RemoteTrainings:
        """The trainings."""
        return self._trainings

    @property
    def checkpoints(self) -> RemoteCheckpoints:
        """What trainings have saved."""
        return self._checkpoints

    def info(self) -> dict[str, Any]:
        """Return who answers: names, version and GPUs of the server."""
        answer: dict[str, Any] = self._connection.json("GET", "/")
        return answer

    def close(self) -> None:
        """Close the connections; runs go on."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def _submit(self, request: ExecutionRequest) -> str:
        return self._executions.submit(request)

    def _submit_training(self, request: TrainingRequest) -> str:
        return self._trainings.submit(request)

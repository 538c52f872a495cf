"""One server, reached over HTTP: requests out, JSON or errors back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar
from urllib.parse import quote

from compox_core.errors import CompoxError, InvalidInputError, MissingExtraError, NotFoundError
from compox_http.errors import error_from

if TYPE_CHECKING:
    import httpx2

API, API_V1 = "/api/v0", "/api/v1"
CHUNK_BYTES = 1 << 20
CONNECT_SECONDS = 15.0
"""A machine that is there takes a connection at once, however long its answers take."""
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class ConnectionFailed(CompoxError):
    """The server could not be reached, or the connection broke; whether the request was done is not known."""

    default_code: ClassVar[str] = "connection_failed"


class Connection:
    """Keeps connections to one server open; any thread may use it.

    Args:
        url: Where the server is, as it prints it when it starts.
        timeout: Seconds that the server may be silent.

    Raises:
        MissingExtraError: when the `client` extra is not installed.
        InvalidInputError: `invalid_url`.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._httpx = _httpx2()
        self.url = url.rstrip("/")
        try:
            address = self._httpx.URL(self.url)
        except self._httpx.InvalidURL as error:
            raise _invalid_url(url) from error
        if address.scheme not in ("http", "https") or not address.host:
            raise _invalid_url(url)
        self._client = self._httpx.Client(
            base_url=self.url,
            timeout=self._httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            # A proxy is no way to a server on this machine, whatever the environment says.
            trust_env=address.host not in LOCAL_HOSTS,
        )

    def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the decoded answer. Raises ConnectionFailed, or what the server answered."""
        return self.decoded(self.request(method, path, **options))

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request and return the answer, whatever its status. Raises ConnectionFailed."""
        with self._explained():
            response: httpx2.Response = self._client.request(method, path, **options)
        return response

    def decoded(self, response: httpx2.Response) -> Any:
        """Return what an answer says. Raises the error that the server answered with."""
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and body is not None:
            return body
        raise error_from(response.status_code, body)

    def upload(self, path: str, source: BinaryIO, size: int) -> Any:
        """Send a stream of `size` bytes from where it stands and return the decoded answer."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        return self.json("POST", path, content=_chunks(source), headers=headers)

    def download(self, path: str, target: BinaryIO, **options: Any) -> None:
        """Write the body of an answer to `target`, all of it or ConnectionFailed."""
        with self._explained(), self._client.stream("GET", path, **options) as response:
            if response.is_success:
                for chunk in response.iter_bytes(CHUNK_BYTES):
                    target.write(chunk)
                return
            response.read()
        self.decoded(response)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (self._httpx.TransportError, UnicodeError) as error:  # the latter: a name that is no host's
            raise ConnectionFailed(
                f"No answer from {self.url}: {str(error) or type(error).__name__}. Does `compox-http serve` run "
                "there, and is the address right?",
                details={"url": self.url},
                retryable=True,
            ) from error


def listed(connection: Connection, path: str, empty: str, query: Mapping[str, Any]) -> list[Any]:
    """Return what a list call answers; the error `empty`, by which a server says that it has none at all, is none."""
    try:
        answer: list[Any] = connection.json("GET", path, params=without_none(query))
    except NotFoundError as error:
        if error.code != empty:
            raise
        return []
    return answer


def segment(text: str) -> str:
    """Return `text` as one segment of a path, whatever it contains."""
    return quote(text, safe="")


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _httpx2() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtraError(
            'The client needs httpx2: run pip install "compox-core[client]".', details={"extra": "client"}
        ) from error
    return httpx2


def _invalid_url(url: str) -> InvalidInputError:
    return InvalidInputError(
        f"'{url}' is no address of a server: give one like http://127.0.0.1:5481.",
        code="invalid_url",
        details={"url": url},
    )

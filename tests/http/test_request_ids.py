"""The id of a request: in its answer, its errors and the lines of the log."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from compox_core.engine import Engine
from compox_core.errors import StorageError
from compox_core.logs import belonging
from tests.http.serving import API, Wire, error_body, served

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


@pytest.mark.parametrize("given", ["a", "3f2a", "A-b_c.9", "x" * 128])
def test_a_sane_id_of_the_client_is_kept(wire: Wire, given: str) -> None:
    """In the header, and as the last key of an error."""
    answer = wire.http.get("/nowhere", headers={"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given
    assert error_body(answer)["code"] == "http_404"


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a;b", "ü", "<script>", "a\tb"])
def test_any_other_is_replaced(wire: Wire, given: str | None) -> None:
    """By one that no other request has."""
    headers = {} if given is None else {"X-Request-ID": given.encode("latin-1")}
    answers = [wire.http.get("/", headers=headers) for _ in range(2)]
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(each) == 1 and re.fullmatch("[0-9a-f]{16}", each[0]) for each in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", f"{API}/algorithm/all"),
        ("GET", f"{API}/files/none"),
        ("HEAD", "/nowhere"),
        ("DELETE", "/"),
        ("OPTIONS", "/"),
        ("GET", "/schema/openapi.json"),
        ("GET", "/%00"),
    ],
)
def test_every_answer_has_it(wire: Wire, method: str, path: str) -> None:
    """Also of what matches no route, and of what the framework answers by itself."""
    answer = wire.http.request(method, path, headers={"X-Request-ID": "mine"})
    assert answer.headers.get_list("x-request-id") == ["mine"]


def test_what_is_no_http_has_one_as_well(wire: Wire) -> None:
    """In the header and in the body."""
    place = urlsplit(wire.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        answer = b""
        while data := raw.recv(65536):
            answer += data
    found = re.findall(rb"[0-9a-f]{16}", answer)
    assert len(found) == 2 and found[0] == found[1] and b"x-request-id: " + found[0] in answer


class Ids(logging.Handler):
    """Notes the request of each line where it is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((record.name, belonging(record).request_id))


def test_lines_of_a_request_carry_its_id_in_threads_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the engine logs, the error's own line and the access line."""
    seen = Ids()
    core = logging.getLogger("compox_core.of.a.test")
    loggers = [core, logging.getLogger("compox_http")]

    def fail(*_: object) -> None:
        core.warning("in a thread")
        raise StorageError("broken")

    for logger in loggers:
        logger.addHandler(seen)
    try:
        with caplog.at_level(logging.INFO, "compox_http"), Engine("memory://") as engine, served(engine) as url:
            monkeypatch.setattr(engine.algorithms, "get", fail)
            wire = Wire(url)
            wire.http.get(f"{API}/algorithm/double/1", headers={"X-Request-ID": "mine"})
            wire.http.get("/", headers={"X-Request-ID": "next"})
            wire.close()
    finally:
        for logger in loggers:
            logger.removeHandler(seen)
    assert seen.seen == [
        ("compox_core.of.a.test", "mine"),
        ("compox_http.answers", "mine"),
        ("compox_http.access", "mine"),
        ("compox_http.access", "next"),
    ]


def access_lines(caplog: pytest.LogCaptureFixture, act: Callable[[Wire], object]) -> list[logging.LogRecord]:
    """Return the access lines of what `act` asks a server."""
    level = caplog.at_level(logging.INFO, logger="compox_http.access")
    with level, Engine("memory://") as engine, served(engine) as url:
        wire = Wire(url)
        act(wire)
        wire.close()
    return [record for record in caplog.records if record.name == "compox_http.access"]


def test_an_access_line_says_what_was_asked_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    """Method, path, status, bytes, seconds and the client's address; no query, which may hold a signature."""
    lines = access_lines(caplog, lambda wire: wire.http.get("/nowhere?signature=hush"))
    [line] = [record.getMessage() for record in lines]
    assert re.fullmatch(r"GET /nowhere 404 \d\d+ bytes \d+\.\d{4} s from 127\.0\.0\.1:\d+", line)


def test_an_access_line_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    """A path is shown as it came."""
    lines = access_lines(caplog, lambda wire: wire.http.get("/a%0d%0a2026-01-01%20at%2010:00:00%1b"))
    [line] = [record.getMessage() for record in lines]
    assert line.lower().startswith("get /a%0d%0a2026-01-01%20at%2010:00:00%1b 404 ")


def test_a_client_that_goes_away_has_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    """Which says that there was no answer, or none that was whole."""

    def go_away(wire: Wire) -> None:
        place = urlsplit(wire.url)
        with socket.create_connection((place.hostname, place.port), timeout=30) as raw:
            raw.sendall(f"POST {API}/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
        while not caplog.records:
            pass

    [line] = [record.getMessage() for record in access_lines(caplog, go_away)]
    assert line.startswith(f"POST {API}/files ")


POLLS = [
    ("GET", "/api/v0/executions/x", True),
    ("GET", "/api/v0/training/x", True),
    ("GET", "/api/v0/benchmarks/x", True),
    ("GET", "/api/v0/deploy/x", True),
    ("GET", "/api/v7/executions/x", True),
    ("GET", "/api/v0/files/x", True),
    ("DELETE", "/api/v0/files/x", True),
    ("POST", "/api/v0/files", True),
    ("POST", "/api/v1/files/upload-url", True),
    ("GET", "/livez", True),
    ("GET", "/readyz", True),
    ("GET", "/", False),
    ("POST", "/livez", False),
    ("POST", "/api/v0/executions/x/stop", False),
    ("GET", "/api/v0/executions/x/log", False),
    ("POST", "/api/v0/execute-algorithm", False),
    ("GET", "/api/v0/algorithm/all", False),
    ("GET", "/api/vx/executions/x", False),
    ("GET", "/x/api/v0/executions/x", False),
]


def test_polls_and_files_are_marked_as_noise(caplog: pytest.LogCaptureFixture) -> None:
    """The console leaves such lines out."""
    lines = access_lines(caplog, lambda wire: [wire.http.request(method, path) for method, path, _ in POLLS])
    told = {line.getMessage().rpartition(" bytes")[0].rsplit(" ", 2)[0]: line.__dict__["noise"] for line in lines}
    assert told == {f"{method} {path}": noise for method, path, noise in POLLS}

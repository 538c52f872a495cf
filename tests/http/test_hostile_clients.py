"""Clients that hold on to connections, send odd heads, or ask for what is not HTTP/1.1."""

from __future__ import annotations

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from compox_core.engine import Engine
from compox_http.protocol import Protocol
from tests.http.serving import API, Wire, hdf5_bytes
from tests.http.test_files import scratch_files
from tests.http.test_interrupted import connect, eventually
from tests.http.traces import held_by

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise

HEAD = b"Host: x\r\nConnection: close\r\n"


def read_all(raw: socket.socket) -> bytes:
    """Return what a connection gives until its end."""
    received = bytearray()
    with suppress(ConnectionError):  # hung up with bytes of ours unread
        while part := raw.recv(1 << 16):
            received += part
    return bytes(received)


def ask(wire: Wire, request: bytes) -> tuple[int, bytes]:
    """Send raw bytes and return the status (0: none) and the body of the answer."""
    with connect(wire) as raw:
        with suppress(ConnectionError):  # refused before the end
            raw.sendall(request)
        head, _, body = read_all(raw).partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that waits for a moment only."""
    monkeypatch.setattr(Protocol, "head_seconds", 0.2)
    monkeypatch.setattr(Protocol, "body_seconds", 0.2)
    monkeypatch.setattr(Protocol, "check_seconds", 0.02)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET / HTTP/1.1\r\nX-A: b\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT",
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc",
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
    ids=["nothing", "half a head", "half of a second head", "half a body", "half a chunk"],
)
def test_who_does_not_go_on_is_hung_up_on(wire: Wire, engine: Engine, start: bytes) -> None:
    """The connection ends with a 408, and what it had begun leaves nothing."""
    with connect(wire) as raw:
        raw.sendall(start)
        if start.endswith(b"GET / HT"):
            assert raw.recv(1 << 16).startswith(b"HTTP/1.1 200")
            raw.sendall(b"T")
        answer = read_all(raw)
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "http_408"
    eventually(lambda: not scratch_files(engine))


@pytest.mark.usefixtures("impatient")
def test_a_head_that_drips_is_hung_up_on(wire: Wire) -> None:
    """What comes a byte at a time does not win time."""
    with connect(wire) as raw:

        def drip() -> bool:
            try:
                raw.sendall(b"X-A: b\r\n")
            except ConnectionError:
                return True
            return False

        raw.sendall(b"GET / HTTP/1.1\r\n")
        eventually(drip)


@pytest.mark.usefixtures("impatient")
def test_a_slow_answer_is_waited_for(wire: Wire, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are for what the client owes, never for what the server does."""
    information = engine.info()

    def slow() -> dict[str, object]:
        with connect(wire) as other:  # as long as the server waits for somebody else
            read_all(other)
        return information

    monkeypatch.setattr(engine, "info", slow)
    assert wire.http.get("/").status_code == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n" + HEAD + b"X-Long: " + b"a" * 5_000_000,
        b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\r\n" * 500_000,
        b"POST /api/v0/files HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 500_000,
    ],
    ids=["long header", "many headers", "many trailers"],
)
def test_a_head_without_end_is_refused(wire: Wire, engine: Engine, request_: bytes) -> None:
    """Memory does not grow with what a client sends before its request is whole."""
    status, body = ask(wire, request_)
    assert status in (0, 431)  # 0: the client was still sending, and lost the answer
    if body:
        assert json.loads(body)["code"] == "http_431"
    eventually(lambda: not scratch_files(engine))


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"BREW /api/v0/files HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET /api/v0/files/a b HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /" + b"a" * 60_000 + b"\x00 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"POST /api/v0/files HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /api/v0/files HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v0/files HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_told_so_like_any_other_error(wire: Wire, engine: Engine, request_: bytes) -> None:
    """A client that parses errors needs no second way."""
    status, body = ask(wire, request_)
    assert status == 400
    told = json.loads(body)
    assert re.fullmatch("[0-9a-f]{16}", told.pop("request_id"))
    assert told == {"detail": "Bad Request", "code": "http_400", "retryable": False}
    eventually(lambda: not scratch_files(engine))


UPGRADE = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("split", [False, True])
def test_a_client_that_offers_http_2_is_served(wire: Wire, content: bytes, split: bool) -> None:
    """Java's client offers an upgrade with each request: the body counts, and the connection stays."""
    upload = b"POST /api/v0/files HTTP/1.1\r\n" + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(content)
    with connect(wire) as raw:
        for _ in range(2):
            for part in (upload, content) if split else (upload + content,):
                raw.sendall(part)
                if part == upload:
                    wire.http.get("/")  # so that the parts do not arrive as one
            answer = raw.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            file_id = json.loads(answer.partition(b"\r\n\r\n")[2])["file_id"]
            assert wire.http.get(f"{API}/files/{file_id}").content == content
            raw.sendall(b"GET / HTTP/1.1\r\n" + UPGRADE + b"\r\n")
            assert raw.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_old_and_careful_clients_are_served(wire: Wire, content: bytes) -> None:
    """HTTP/1.0, and a body that waits for `100 Continue`; who is refused is not told to go on."""
    length = b"Content-Length: %d\r\n" % len(content)
    status, body = ask(wire, b"POST /api/v0/files HTTP/1.0\r\n" + length + b"\r\n" + content)
    assert status == 200 and b"file_id" in body
    with connect(wire) as raw:
        raw.sendall(b"POST /api/v0/files HTTP/1.1\r\n" + HEAD + length + b"Expect: 100-continue\r\n\r\n")
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(content)
        assert read_all(raw).startswith(b"HTTP/1.1 200")
    refused = b"POST /api/v0/execute-algorithm HTTP/1.1\r\n" + HEAD + b"Content-Length: 200000000\r\n"
    assert ask(wire, refused + b"Expect: 100-continue\r\n\r\n")[0] == 413


@pytest.mark.parametrize(
    "query",
    [
        "positive_tag=", "positive_tag=%ff", "positive_tag=%00&negative_tag=", "algorithm_type=a&algorithm_type=b",
        "supported_devices", "supported_devices=1,2", "&&=&x", "positive_tag[]=x", "algorithm_type=%7B%7D", "%",
        "x=%zz",
    ],
)  # fmt: skip
def test_odd_queries_filter_or_are_ignored(wire: Wire, query: str) -> None:
    """Never a failure."""
    status, body = ask(wire, f"GET {API}/algorithm/all?{query} HTTP/1.1\r\n".encode() + HEAD + b"\r\n")
    assert status == 200 and isinstance(json.loads(body), list)


def test_an_answer_is_not_broken_into(wire: Wire, tmp_path: Path) -> None:
    """What is no HTTP, after requests that were sent at once, ends the connection; its error is no part of a file."""
    content = hdf5_bytes(tmp_path, data=np.zeros(20_000_000, np.uint8))
    path = f"{API}/files/{wire.upload(content)}"
    with connect(wire) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        start = raw.recv(100)
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
        _, _, body = (start + read_all(raw)).partition(b"\r\n\r\n")
    assert content.startswith(body)


def test_many_clients_leave_no_trace(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """Stalled heads, stalled uploads and readers that stop cost nobody else anything, and no file stays open."""
    content = hdf5_bytes(tmp_path, data=np.zeros(6_000_000, np.uint8))
    process = psutil.Process()
    file_id = wire.upload(content)
    before = held_by(process, wire.url)
    starts = [
        b"GET / HTTP/1.1\r\nX-A: b\r\n",
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + bytes(1_500_000),
        f"GET {API}/files/{file_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ]
    held = [connect(wire) for _ in range(30)]
    try:
        for number, raw in enumerate(held):
            raw.sendall(starts[number % 3])
        with ThreadPoolExecutor(4) as pool:
            ids = [*pool.map(wire.upload, [content] * 12)]
        assert all(wire.http.delete(f"{API}/files/{one}").status_code == 200 for one in [*ids, file_id])
    finally:
        for raw in held:
            raw.close()
    eventually(lambda: not scratch_files(engine))
    eventually(lambda: held_by(process, wire.url) <= before + 8)  # both ends of connections that the client keeps


def test_a_body_that_was_never_asked_for_ends_the_connection(wire: Wire) -> None:
    """Else the next request would be taken for it."""
    place = urlsplit(wire.url)
    head = (
        f"POST {API}/files HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: 100000\r\n"
        "expect: 100-continue\r\nx-content-sha256: none\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port or 80), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 422")

"""Clients that go away in the middle."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import numpy as np
import pytest

from compox_core.engine import Engine
from tests.http.serving import API, Wire, hdf5_bytes
from tests.http.test_files import scratch_files

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


def connect(wire: Wire) -> socket.socket:
    """Return a plain connection to the server."""
    host, port = wire.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def eventually(condition: object) -> None:
    """Wait until `condition()` holds."""
    assert callable(condition)
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never held")


@pytest.mark.parametrize("sent", [10, 3_000_000])
def test_an_upload_that_breaks_off_leaves_nothing(wire: Wire, engine: Engine, sent: int) -> None:
    """The scratch file goes when the client goes, before and after bytes reached the disk."""
    before = len(list(engine.files.list()))
    with connect(wire) as raw:
        raw.sendall(b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + bytes(sent))
        if sent > 2_000_000:
            eventually(lambda: scratch_files(engine))
    eventually(lambda: not scratch_files(engine))
    assert len(list(engine.files.list())) == before
    assert wire.http.get("/").status_code == 200


def test_a_download_that_breaks_off_closes_the_file(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """The server goes on after a client that stops listening, and can delete the file."""
    content = hdf5_bytes(tmp_path, data=np.zeros(20_000_000, np.uint8))
    file_id = wire.upload(content)
    with connect(wire) as raw:
        raw.sendall(f"GET {API}/files/{file_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
    assert wire.http.delete(f"{API}/files/{file_id}").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v0/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/v0/files/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_so_and_leaves_nothing(wire: Wire, engine: Engine, head: bytes) -> None:
    """A broken request gets a 4xx or is cut off; the server goes on."""
    with connect(wire) as raw:
        raw.sendall(head)
        raw.shutdown(socket.SHUT_WR)
        answer = raw.recv(1000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    eventually(lambda: not scratch_files(engine))
    assert wire.http.get("/").status_code == 200


def test_bytes_past_the_announced_length_do_no_harm(wire: Wire, engine: Engine, content: bytes) -> None:
    """They are no part of the file: it is stored without them, or the request is refused as a whole."""
    head = f"POST {API}/files HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with connect(wire) as raw:
        raw.sendall(head + content + b"surplus")
        answer = raw.recv(4000)
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), answer
    eventually(lambda: not scratch_files(engine))

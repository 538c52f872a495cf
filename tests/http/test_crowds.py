"""Many clients at once, and clients that leave in the middle: all are served, and nothing of them stays."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import selectors
import socket
import struct
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from compox_core.engine import Engine
from compox_core.storage.folder import TEMPORARY
from compox_http.events import feeds as feeds_module
from compox_http.events.feeds import Feeds
from compox_http.protocol import Protocol
from compox_http.threads import LIMIT, Threads
from tests.http.serving import API, Wire, hdf5_bytes, image, write_algorithm
from tests.http.test_interrupted import connect, eventually
from tests.http.test_serve import running
from tests.http.traces import held_by

STREAMS = 1000
JOBS = 50
UPLOADS = 200
LEAVERS = 100
DEADLINE = 120.0
MIB = 1 << 20

CONFIG = """
port: 0
storage:
  backend_settings: {{provider: local, path: '{store}'}}
inference:
  backend_settings: {{executor: threads, worker_number: 4}}
"""

PATIENT = """
import time
from pathlib import Path

from compox_core.runners import BaseRunner


class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        return data

    def inference(self, data, args=None):
        while not Path(args["go"]).exists():
            time.sleep(0.5)
            self.log_message("still here")
        return []

    def postprocess(self, data, args=None):
        return []
"""


@dataclass
class Site:
    """A server in a process of its own, what it holds, and a client of it."""

    process: psutil.Process
    wire: Wire
    folder: Path

    def held(self) -> int:
        """Return how many files and connections the server has open."""
        return held_by(self.process, self.wire.url)

    def memory(self) -> int:
        """Return the bytes that the server has in memory."""
        return int(self.process.memory_info().rss)

    def scratch(self) -> list[Path]:
        """Return the uploads that are not yet whole."""
        return [*(self.folder / "store" / TEMPORARY).iterdir()]

    def submit(self, go: Path) -> str:
        """Submit a run that ends when a file is there, and return where its events are."""
        run = self.wire.execute("patient", [], additional_parameters={"go": str(go)})
        return f"/api/v1/executions/{run}/events"

    def serves(self, content: bytes) -> None:
        """Assert that another client is served."""
        file_id = self.wire.upload(content)
        assert self.wire.http.get(f"{API}/files/{file_id}").content == content
        assert self.wire.http.get("/livez").status_code == 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that has done everything once."""
    many_connections()
    folder = tmp_path_factory.mktemp("crowds")
    with Engine(folder / "store") as engine:
        engine.deploy(write_algorithm(folder / "patient", "patient", PATIENT, kind="Generic"))
    (folder / "compox.yaml").write_text(CONFIG.format(store=folder / "store"), encoding="utf-8")
    with running(["--config", str(folder / "compox.yaml")]) as (server, url):
        site = Site(psutil.Process(server.pid), Wire(url), folder)
        site.serves(hdf5_bytes(folder, image=image()))
        yield site
        site.wire.close()


def many_connections() -> None:
    """Have this process, and those that it starts, open as many connections as the tests take; else skip."""
    if sys.platform == "win32":
        return
    import resource

    wanted = 2 * STREAMS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        reason = f"a process may open {hard} files here, and the tests take {wanted}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Crowd:
    """Clients that each ask for one thing, and what each has got so far."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._selector = selectors.DefaultSelector()
        self._got: dict[socket.socket, bytearray] = {}
        self._over: set[socket.socket] = set()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for each in self._got:
            each.close()

    def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> socket.socket:
        """Have one more client ask, and return its connection."""
        raw = connect(self._wire)
        raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode() + body)
        self._got[raw] = bytearray()
        self._selector.register(raw, selectors.EVENT_READ)
        return raw

    def until(self, enough: Callable[[bytes], object]) -> None:
        """Read until every client has got enough, or its answer is over."""
        missing = {raw for raw in self._got if raw not in self._over and not enough(self._got[raw])}
        deadline = time.monotonic() + DEADLINE
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} clients still wait"
            for key, _ in self._selector.select(1):
                raw = key.fileobj
                assert isinstance(raw, socket.socket)
                part = raw.recv(1 << 16)
                self._got[raw] += part
                if not part:
                    self._over.add(raw)
                    self._selector.unregister(raw)
                if not part or enough(self._got[raw]):
                    missing.discard(raw)

    def answers(self) -> list[bytes]:
        """Return what each client has got when all answers are over."""
        self.until(lambda _: False)
        return [bytes(each) for each in self._got.values()]


def body_of(answer: bytes) -> bytes:
    """Return the body of an answer that went well."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer[:1000]
    return body


def follow_all(site: Site, go: Path, content: bytes) -> None:
    """Have half of a crowd follow one job, the others many, until the jobs end; serve somebody else meanwhile."""
    main, *others = [site.submit(go) for _ in range(1 + JOBS)]
    before = site.memory()
    with Crowd(site.wire) as crowd:
        for number in range(STREAMS):
            crowd.ask("GET", others[number // 2 % JOBS] if number % 2 else main)
        crowd.until(lambda got: b"event: record" in got)
        assert site.held() > STREAMS
        site.serves(content)
        assert site.process.num_threads() < LIMIT + 20
        assert site.memory() - before < STREAMS * 100 * 1024
        go.touch()
        for answer in crowd.answers():
            assert b"event: end\n" in body_of(answer) and b'"status":"COMPLETED"' in answer.partition(b"event: end")[2]


@pytest.mark.slow
def test_a_thousand_streams_end_and_leave_nothing(site: Site, content: bytes, tmp_path: Path) -> None:
    """They hold no thread and little memory; others are served; the next thousand take no more than these did."""
    held = site.held()
    follow_all(site, tmp_path / "first", content)
    eventually(lambda: site.held() <= held + 2)
    threads, memory = site.process.num_threads(), site.memory()
    follow_all(site, tmp_path / "second", content)
    eventually(lambda: site.held() <= held + 2)
    assert site.process.num_threads() <= max(threads, LIMIT + 20)
    assert site.memory() - memory < 16 * MIB


@pytest.mark.slow
def test_uploads_at_the_same_time_are_stored_each_for_itself(site: Site, content: bytes, tmp_path: Path) -> None:
    """All of them are half done before any is whole."""
    held = site.held()
    contents = [hdf5_bytes(tmp_path, image=image(seed, 150)) for seed in range(UPLOADS)]
    with Crowd(site.wire) as crowd:
        half = len(contents[0]) // 2
        uploads = [
            crowd.ask("POST", f"{API}/files", f"Content-Length: {len(each)}\r\n", each[:half]) for each in contents
        ]
        site.serves(content)
        for raw, each in zip(uploads, contents, strict=True):
            raw.sendall(each[half:])
        ids = [json.loads(body_of(answer))["file_id"] for answer in crowd.answers()]
    assert len(set(ids)) == UPLOADS
    for file_id, each in zip(ids, contents, strict=True):
        assert site.wire.http.get(f"{API}/files/{file_id}").content == each
    assert site.scratch() == []
    eventually(lambda: site.held() <= held + 2)


def leave(raw: socket.socket, rudely: bool) -> None:
    """Close a connection, in order or (as a client that is killed may) by a reset."""
    if rudely:
        raw.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        )
    raw.close()


@pytest.mark.slow
@pytest.mark.parametrize("during", ["upload", "download", "events"])
def test_clients_that_leave_in_the_middle_leave_nothing(
    site: Site, content: bytes, tmp_path: Path, during: str
) -> None:
    """No scratch file, no connection, no thread; somebody else is served before, meanwhile and after."""
    large = hdf5_bytes(tmp_path, data=np.zeros(8 * MIB, np.uint8))
    file_id, events = site.wire.upload(large), site.submit(tmp_path / "go")
    site.serves(content)
    held = site.held()
    with Crowd(site.wire) as crowd:
        if during == "upload":
            length = f"Content-Length: {len(large)}\r\n"
            gone = [crowd.ask("POST", f"{API}/files", length, large[: MIB + 1000]) for _ in range(LEAVERS)]
            eventually(lambda: len(site.scratch()) == LEAVERS)
        else:
            path = events if during == "events" else f"{API}/files/{file_id}"
            gone = [crowd.ask("GET", path) for _ in range(LEAVERS)]
            crowd.until(lambda got: b"\r\n\r\n" in got)
        site.serves(content)
        for number, raw in enumerate(gone):
            leave(raw, rudely=number % 2 == 0)
    site.serves(content)
    eventually(lambda: site.scratch() == [])
    eventually(lambda: site.held() <= held + 2)
    assert site.process.num_threads() < LIMIT + 20
    (tmp_path / "go").touch()
    site.wire.finish(events.split("/")[-2])
    assert site.wire.http.delete(f"{API}/files/{file_id}").status_code == 200


@pytest.mark.parametrize("answers", [1, 400], ids=["a large file", "many small answers"])
def test_a_reader_that_takes_nothing_is_given_up(
    wire: Wire,
    tmp_path: Path,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answers: int,
) -> None:
    """The server hangs up, does not wait for the rest to be taken, and closes the file; others are served meanwhile."""
    monkeypatch.setattr(Protocol, "stuck_seconds", 0.5)
    monkeypatch.setattr(Protocol, "check_seconds", 0.05)
    large = hdf5_bytes(tmp_path, data=np.zeros(20 * MIB, np.uint8))
    path = f"{API}/files/{wire.upload(large)}" if answers == 1 else "/openapi.json"
    place, process = urlsplit(wire.url), psutil.Process()
    held = held_by(process, wire.url)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        raw.connect((place.hostname, place.port))
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * answers)
        port = raw.getsockname()[1]
        eventually(lambda: is_served(process, port))
        assert wire.http.get(f"{API}/files/{wire.upload(content)}").content == content
        eventually(lambda: not is_served(process, port))
    eventually(lambda: held_by(process, wire.url) <= held + 2)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def is_served(process: psutil.Process, port: int) -> bool:
    """Return whether a server in a process has its end of the connection from a port open."""
    connections = process.net_connections("tcp")
    return any(each.raddr and each.raddr.port == port and each.status == "ESTABLISHED" for each in connections)


@pytest.mark.slow
def test_a_slow_reader_gets_all(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes a little at a time is not taken for one who takes nothing."""
    monkeypatch.setattr(Protocol, "stuck_seconds", 2.0)
    monkeypatch.setattr(Protocol, "check_seconds", 0.02)
    content = hdf5_bytes(tmp_path, data=np.zeros(8 * MIB, np.uint8))
    file_id = wire.upload(content)
    got = bytearray()
    with wire.http.stream("GET", f"{API}/files/{file_id}") as answer:
        for part in answer.iter_raw(64 * 1024):
            time.sleep(0.03)
            got += part
    assert bytes(got) == content


def test_a_feed_that_nobody_follows_is_let_go(
    engine: Engine, wire: Wire, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A while after the last follower has left, be the job at work or not."""
    monkeypatch.setattr(feeds_module, "KEPT_SECONDS", 0.05)
    run = wire.execute("endless", [wire.upload(content)])

    async def scenario() -> None:
        threads = Threads()
        feeds = Feeds(threads)
        async with feeds.following(engine.executions, run) as feed, feeds.following(engine.executions, run) as same:
            assert same is feed
            left = weakref.ref(feed)
            del feed, same
        async with asyncio.timeout(DEADLINE):
            while left() is not None:
                await asyncio.sleep(0.01)
                gc.collect()
        feeds.close()
        threads.close()

    asyncio.run(scenario())
    wire.http.post(f"{API}/executions/{run}/stop")
    assert wire.finish(run)["status"] == "STOPPED"

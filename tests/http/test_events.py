"""What jobs say while they go on, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from compox_core.engine import Engine
from compox_http.events import feed as feed_module
from compox_http.events import stream as stream_module
from compox_http.events.buffer import MOST_BYTES, MOST_EVENTS, Buffer
from compox_http.protocol import Protocol
from tests.http.serving import API, Wire, deploy_all, hdf5_bytes, image, served, settings_for, write_algorithm

STEPS = """
import time
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        return data

    def inference(self, data, args=None):
        for step in range(int(args["steps"])):
            self.log_message(f"step {step}")
            self.set_progress((step + 1) / args["steps"])
            time.sleep(args["pause"])
        return []

    def postprocess(self, data, args=None):
        return []
"""


@dataclass
class Event:
    """One event as a client gets it."""

    id: str
    event: str
    data: Any


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """Read events as the standard says; comments are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def follow(wire: Wire, path: str, last: str | bytes | None = None, count: int | None = None) -> list[Event]:
    """Return the events of a stream until its end, or so many of them."""
    headers = {} if last is None else {"last-event-id": last}
    found: list[Event] = []
    with wire.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        for event in events_of(answer.iter_lines()):
            found.append(event)
            if len(found) == count:
                break
    return found


def log_in(events: list[Event]) -> str:
    """Return what the events tell of the log."""
    return "".join(
        event.data["log"] if event.event == "record" else event.data.get("text", "")
        for event in events
        if event.event in ("record", "log")
    )


@pytest.fixture(scope="module")
def stepper(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An algorithm that goes in steps."""
    parameters = """
[[tool.compox.additional_parameters]]
name = "steps"
config = { type = "int", default = 5 }
[[tool.compox.additional_parameters]]
name = "pause"
config = { type = "float", default = 0.02 }
"""
    folder = tmp_path_factory.mktemp("steps") / "steps"
    engine.deploy(write_algorithm(folder, "steps", STEPS, kind="Generic", extra=parameters))


@pytest.mark.usefixtures("stepper")
def test_a_run_is_followed_from_its_beginning_to_its_end(wire: Wire, content: bytes) -> None:
    """First the record; the log whole and once; progress and status rising; at last the record again."""
    run = wire.execute("steps", [wire.upload(content)], additional_parameters={"steps": 8, "pause": 0.05})
    events = follow(wire, f"/api/v1/executions/{run}/events")
    assert events[0].event == "record" and events[0].data["execution_id"] == run
    assert events[-1].event == "end" and events[-1].data["status"] == "COMPLETED"
    steps = [line.rpartition(" ")[2] for line in log_in(events).splitlines() if " step " in line]
    assert steps == [str(n) for n in range(8)]
    progress = [event.data["progress"] for event in events if event.event == "progress"]
    assert progress == sorted(progress) and progress[-1] == 1.0 and len(progress) > 2
    statuses = [event.data["status"] for event in events if event.event == "status"]
    assert statuses[-1] == "COMPLETED" and statuses == [
        each for each in ("STARTED", "RUNNING", "COMPLETED") if each in statuses
    ]
    numbers = [int(event.id.partition(".")[2]) for event in events]
    assert numbers == sorted(numbers) and len({event.id.partition(".")[0] for event in events}) == 1


@pytest.mark.usefixtures("stepper")
def test_a_client_that_was_away_gets_what_it_missed(wire: Wire, content: bytes) -> None:
    """From the id that it has, nothing twice and nothing left out; after the end it is told not to come again."""
    run = wire.execute("steps", [wire.upload(content)], additional_parameters={"steps": 20, "pause": 0.02})
    path = f"/api/v1/executions/{run}/events"
    events = follow(wire, path, count=4)
    while events[-1].event != "end":
        more = follow(wire, path, last=events[-1].id, count=3)
        assert more[0].event != "record", "it was away for a moment only"
        events += more
    steps = [line.rpartition(" ")[2] for line in log_in(events).splitlines() if " step " in line]
    assert steps == [str(n) for n in range(20)]
    answer = wire.http.get(path, headers={"last-event-id": events[-1].id})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("last", ["", "x", "x.1", ".", "1", "0" * 5000, b"\xfc"])
def test_an_id_that_is_none_of_ours_begins_anew(wire: Wire, content: bytes, last: str | bytes) -> None:
    """With the record, and the end of a run that has ended."""
    run = wire.execute("double", [wire.upload(content)])
    wire.finish(run)
    events = follow(wire, f"/api/v1/executions/{run}/events", last=last)
    assert [event.event for event in events] == ["record", "end"]
    assert "doubling" in events[0].data["log"] and "package_key" not in events[0].data


def test_benchmarks_and_deploys_have_events_too(wire: Wire, engine: Engine, tmp_path: Path) -> None:
    """As executions have."""
    answer = wire.http.post(f"{API}/benchmark-algorithm", json={"algorithm_id": wire.algorithm_id("measured")})
    events = follow(wire, f"/api/v1/benchmarks/{answer.json()['benchmark_id']}/events")
    assert events[-1].event == "end" and events[-1].data["data"] == {"seconds": 0.25, "sizes": [1, 2]}
    folder = Path(engine.settings.deploy.allowed_roots[0]) / "double"
    answer = wire.http.post(f"{API}/deploy/local-async", params={"path": str(folder)})
    events = follow(wire, f"/api/v1/deploys/{answer.json()['deploy_id']}/events")
    assert (events[-1].event, events[-1].data["status"]) == ("end", "COMPLETED")


@pytest.mark.parametrize("kind", ["execution", "benchmark", "deploy"])
def test_what_is_not_there_has_no_events(wire: Wire, kind: str) -> None:
    """404, as for the record."""
    answer = wire.http.get(f"/api/v1/{kind}s/x/events")
    assert (answer.status_code, answer.json()["code"]) == (404, f"{kind}_record_not_found")


@pytest.mark.parametrize("other", ["threads", "processes"])
def test_a_run_of_another_server_is_followed_by_its_record(tmp_path: Path, content: bytes, other: str) -> None:
    """Both share a store; the events of one come from what the other has stored."""
    settings = settings_for("local", tmp_path / "store")
    there = json.loads(json.dumps(settings))
    there["inference"]["backend_settings"] = {"executor": other, "worker_number": 1}
    with Engine(settings) as engine, Engine(there, resume=True) as worker:
        deploy_all(engine, tmp_path / "algorithms")
        with served(engine) as url, served(worker) as other_url:
            wire, far = Wire(url), Wire(other_url)
            run = far.execute("endless", [far.upload(content)])

            def stop() -> None:
                while far.record(run)["progress"] != 0.5:
                    time.sleep(0.01)
                far.http.post(f"{API}/executions/{run}/stop")

            threading.Thread(target=stop).start()
            events = follow(wire, f"/api/v1/executions/{run}/events")
            assert (events[-1].event, events[-1].data["status"]) == ("end", "STOPPED")
            assert "progress" in {event.event for event in events} or events[0].data["progress"] == 0.5
            assert log_in(events).count("Loaded endless") == 1
            wire.close()
            far.close()


def test_a_record_that_is_deleted_ends_its_stream(tmp_path: Path, content: bytes) -> None:
    """Whoever follows is told."""
    settings = settings_for("local", tmp_path / "store")
    with Engine(settings) as engine, Engine(settings, executor="threads") as other:
        silent = STEPS.replace('self.log_message(f"step {step}")', "").replace("self.set_progress", "id")
        parameters = (
            '\n[[tool.compox.additional_parameters]]\nname = "{}"\nconfig = {{ type = "float", default = {} }}\n'
        )
        extra = parameters.format("steps", "1.0") + parameters.format("pause", "6.0")
        other.deploy(write_algorithm(tmp_path / "silent", "silent", silent, kind="Generic", extra=extra))
        with served(engine) as url, served(other) as far_url:
            wire, far = Wire(url), Wire(far_url)
            run = far.execute("silent", [far.upload(content)])

            def delete() -> None:
                time.sleep(1.5)
                engine.store.delete("execution-store", f"record/{run}")

            threading.Thread(target=delete).start()
            events = follow(wire, f"/api/v1/executions/{run}/events")
            assert events[-1].event == "deleted"
            far.http.post(f"{API}/executions/{run}/stop")
            wire.close()
            far.close()


def test_silence_is_broken_by_comments(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody on the way takes the connection for dead."""
    monkeypatch.setattr(stream_module, "PING_SECONDS", 0.05)
    quiet = STEPS.replace('self.log_message(f"step {step}")', "").replace("(step + 1) / args", "0.5 * args")
    with Engine(settings_for("memory", tmp_path)) as engine:
        parameters = (
            '\n[[tool.compox.additional_parameters]]\nname = "{}"\nconfig = {{ type = "float", default = {} }}\n'
        )
        extra = parameters.format("steps", "1.0") + parameters.format("pause", "1.0")
        engine.deploy(write_algorithm(tmp_path / "quiet", "steps", quiet, kind="Generic", extra=extra))
        with served(engine) as url:
            wire = Wire(url)
            run = wire.execute("steps", [wire.upload(content)])
            with wire.http.stream("GET", f"/api/v1/executions/{run}/events") as answer:
                lines = list(answer.iter_lines())
            assert lines.count(": ping") > 3
            wire.close()


def test_a_server_that_ends_ends_its_streams(tmp_path: Path, content: bytes) -> None:
    """At once, and does not wait for clients to leave."""
    with Engine(settings_for("memory", tmp_path)) as engine:
        deploy_all(engine, tmp_path / "algorithms")
        ended: list[float] = []

        def listen() -> None:
            with wire.http.stream("GET", f"/api/v1/executions/{run}/events") as answer:
                for _ in answer.iter_lines():
                    begun.set()
            ended.append(time.monotonic())

        begun = threading.Event()
        with served(engine) as url:
            wire = Wire(url)
            run = wire.execute("endless", [wire.upload(content)])
            thread = threading.Thread(target=listen)
            thread.start()
            assert begun.wait(20)
        thread.join(20)
        assert not thread.is_alive() and ended
        wire.close()


def test_a_client_that_takes_nothing_is_given_up(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on; nothing is kept for it."""
    monkeypatch.setattr(Protocol, "stuck_seconds", 0.3)
    monkeypatch.setattr(Protocol, "check_seconds", 0.1)
    monkeypatch.setattr(feed_module, "GAP_SECONDS", 0.0)
    chatty = STEPS.replace('f"step {step}"', '"x" * 20000')
    with Engine(settings_for("memory", tmp_path)) as engine:
        parameters = (
            '\n[[tool.compox.additional_parameters]]\nname = "{}"\nconfig = {{ type = "float", default = {} }}\n'
        )
        extra = parameters.format("steps", "2000.0") + parameters.format("pause", "0.002")
        engine.deploy(write_algorithm(tmp_path / "chatty", "steps", chatty, kind="Generic", extra=extra))
        with served(engine) as url:
            wire = Wire(url)
            run = wire.execute("steps", [wire.upload(content)])
            with (
                httpx2.Client(base_url=url, trust_env=False, timeout=60) as lazy,
                lazy.stream("GET", f"/api/v1/executions/{run}/events") as answer,
            ):
                time.sleep(4)
                with pytest.raises(httpx2.HTTPError):
                    for _ in answer.iter_raw():
                        pass
            assert wire.http.get("/livez").status_code == 200
            wire.http.post(f"{API}/executions/{run}/stop")
            wire.close()


def test_the_buffer_keeps_the_last_events_only() -> None:
    """By their number and by their size; who asks for one that is gone gets none."""

    async def fill() -> None:
        buffer = Buffer()
        for number in range(MOST_EVENTS + 10):
            buffer.add("progress", {"progress": number})
        assert buffer.after(9) is None
        kept = buffer.after(10)
        assert kept is not None and len(kept) == MOST_EVENTS
        assert buffer.after(buffer.last) == []
        assert buffer.after(buffer.last + 1) is None
        for _ in range(10):
            buffer.add("log", {"text": "x" * (MOST_BYTES // 4)})
        assert buffer.after(buffer.last - 3) is not None and buffer.after(buffer.last - 9) is None
        buffer.add("log", {"text": "x" * (MOST_BYTES * 2)})
        last = buffer.after(buffer.last - 1)
        assert last is not None and len(last) == 1
        assert buffer.position(f"{buffer.epoch}.{buffer.last}") == buffer.last
        assert buffer.position(f"{buffer.epoch}.1") is None and buffer.position(f"other.{buffer.last}") is None

    asyncio.run(fill())


def test_texts_of_every_kind_stay_on_their_line(tmp_path: Path, wire: Wire, engine: Engine) -> None:
    """A log with line breaks of any kind makes one event a piece."""
    odd = 'self.log_message("a\\nb\\r\\nevent: x\\u2028\\u0085end")\n        return data'
    runner = f"""
from compox_core.runners import Image2ImageRunner

class Runner(Image2ImageRunner):
    def inference(self, data, args=None):
        {odd}
"""
    engine.deploy(write_algorithm(tmp_path / "odd", "odd", runner))
    run = wire.execute("odd", [wire.upload(hdf5_bytes(tmp_path, image=image()))])
    events = follow(wire, f"/api/v1/executions/{run}/events")
    assert "a\nb\r\nevent: x\u2028\u0085end" in log_in(events)

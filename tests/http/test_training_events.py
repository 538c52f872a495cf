"""The metric history of a training, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.tasks import metrics as metrics_module
from compox_http.events import feed as feed_module
from compox_http.events.points import PIECE
from tests.http.learner import Training, deploy_learner
from tests.http.serving import Wire, served, settings_for
from tests.http.test_events import Event, events_of, follow


@pytest.fixture(scope="module")
def learner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The algorithm that learns; its id."""
    return deploy_learner(engine, tmp_path_factory.mktemp("learner"))


@pytest.fixture
def training(wire: Wire, learner: str) -> Training:
    """A client of trainings."""
    return Training(wire)


def events_path(training_id: str) -> str:
    """Return where the events of a training are."""
    return f"/api/v1/trainings/{training_id}/events"


def history(training: Training, training_id: str, first: int, end: int) -> list[Any]:
    """Return points of a training's history, as a client reads those that came before its events."""
    found: list[Any] = []
    while first < end:
        query = {"first": first, "limit": end - first}
        page = training.http.get(f"/api/v1/trainings/{training_id}/metrics", params=query).json()
        assert page["points"], (first, end)
        found += page["points"]
        first = page["next"]
    return found


def told(training: Training, training_id: str, events: list[Event]) -> list[Any]:
    """Return the history as a client knows it from events, and from the route where `record` says that there is more.

    Asserts that no point comes twice, that none is left out, and that no event is too large.
    """
    known: list[Any] = []
    for event in events:
        if event.event == "record":
            assert event.data["metrics"] >= len(known)
            known += history(training, training_id, len(known), event.data["metrics"])
        elif event.event == "metrics":
            assert event.data["first"] == len(known)
            assert 0 < len(event.data["points"]) <= PIECE
            known += event.data["points"]
    assert events[-1].event == "end" and events[-1].data["metrics"] == len(known)
    return known


def test_metrics_are_followed_live(training: Training, tmp_path: Path) -> None:
    """Points come as they are logged: the training waits until its follower has got the first ones."""
    gate = tmp_path / "go"
    wanted = {"wait_at": 1, "gate": str(gate), "steps": 4, "points": 3}
    training_id = training.submit([], additional_parameters=wanted)
    events: list[Event] = []
    count = 0
    with training.http.stream("GET", events_path(training_id)) as answer:
        for event in events_of(answer.iter_lines()):
            events.append(event)
            if event.event == "metrics":
                count = event.data["first"] + len(event.data["points"])
            elif event.event == "record":
                count = event.data["metrics"]
            if count == 6:
                gate.touch()
    known = told(training, training_id, events)
    assert [point["step"] for point in known] == list(range(12))
    assert known == history(training, training_id, 0, 12)
    assert known[3]["values"] == {"loss": 0.5, "odd": "NaN"}


def test_a_late_follower_gets_the_rest(training: Training) -> None:
    """Of a training that has ended: how many points there are, and the end."""
    training_id = training.submit([], additional_parameters={"points": 4})
    training.finish(training_id)
    events = follow(training.wire, events_path(training_id))
    assert [event.event for event in events] == ["record", "end"]
    assert [point["step"] for point in told(training, training_id, events)] == list(range(8))


def test_who_was_away_gets_what_was_missed(training: Training, tmp_path: Path) -> None:
    """By the last id, in order, each point once; where it is too much, `record` says where to read on."""
    gate = tmp_path / "go"
    wanted = {"wait_at": 0, "gate": str(gate), "steps": 30, "points": 20}
    training_id = training.submit([], additional_parameters=wanted)
    events = follow(training.wire, events_path(training_id), count=1)
    gate.touch()
    while events[-1].event != "end":
        events += follow(training.wire, events_path(training_id), last=events[-1].id, count=2)
    assert [point["step"] for point in told(training, training_id, events)] == list(range(600))
    answer = training.http.get(events_path(training_id), headers={"last-event-id": events[-1].id})
    assert answer.status_code == 204


def test_more_than_a_buffer_holds_is_read_elsewhere(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of points at once come in bounded events; memory keeps the last ones, and the store has the others."""
    monkeypatch.setattr(metrics_module.MetricLog.__init__, "__defaults__", (500,))
    training_id = training.submit([], additional_parameters={"steps": 3, "points": 7000})
    events = follow(training.wire, events_path(training_id))
    assert [point["step"] for point in told(training, training_id, events)] == list(range(21_000))


def test_the_event_loop_reads_no_store(training: Training, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that have left memory are read by a thread."""
    monkeypatch.setattr(metrics_module.MetricLog.__init__, "__defaults__", (1,))
    monkeypatch.setattr(
        feed_module, "GAP_SECONDS", 0.3
    )  # so long that the points are stored before they are looked for
    asked: list[bool] = []
    read = engine.trainings._stored.metrics_since

    def noting(*args: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asked.append(False)
        else:
            asked.append(True)
        return read(*args)

    monkeypatch.setattr(engine.trainings._stored, "metrics_since", noting)
    training_id = training.submit([], additional_parameters={"steps": 3, "points": 9000})
    events = follow(training.wire, events_path(training_id))
    assert len(told(training, training_id, events)) == 27_000
    assert asked and not any(asked)


@pytest.mark.parametrize("other", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_training_elsewhere_is_followed_by_what_is_stored(tmp_path: Path, other: str) -> None:
    """The points of a training of another server, or of its worker process, come from the store; none twice."""
    settings = settings_for("local", tmp_path / "store")
    there = json.loads(json.dumps(settings))
    there["inference"]["backend_settings"] = {"executor": other, "worker_number": 1}
    gate = tmp_path / "go"
    with Engine(settings) as engine, Engine(there, resume=True) as worker:
        deploy_learner(engine, tmp_path / "learner")
        with served(engine) as url, served(worker) as far_url:
            near, far = Training(Wire(url)), Training(Wire(far_url))
            wanted = {"wait_at": 1, "gate": str(gate), "steps": 5, "points": 300}
            training_id = far.submit([], additional_parameters=wanted)
            far.until(training_id, progress=0.4)
            seen = follow(near.wire, events_path(training_id), count=1)
            gate.touch()
            for site in (near, far):
                events = seen + follow(near.wire, events_path(training_id), last=seen[-1].id)
                assert [p["step"] for p in told(site, training_id, events)] == list(range(1500))
            near.wire.close()
            far.wire.close()


def test_a_training_in_a_worker_process_is_followed_live(tmp_path: Path) -> None:
    """Its points come through the server's own memory, while it goes on."""
    settings = settings_for("local", tmp_path / "store")
    settings["inference"]["backend_settings"] = {"executor": "processes", "worker_number": 1}
    gate = tmp_path / "go"
    with Engine(settings) as engine:
        deploy_learner(engine, tmp_path / "learner")
        with served(engine) as url:
            training = Training(Wire(url))
            wanted = {"wait_at": 0, "gate": str(gate), "steps": 3, "points": 2}
            training_id = training.submit([], additional_parameters=wanted)
            training.until(training_id, progress=1 / 3)
            events = follow(training.wire, events_path(training_id), count=1)
            gate.touch()
            events += follow(training.wire, events_path(training_id), last=events[-1].id)
            known = told(training, training_id, events)
            assert [point["step"] for point in known] == list(range(6))
            assert "metrics" in {event.event for event in events}
            training.wire.close()

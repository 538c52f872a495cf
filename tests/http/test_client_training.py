"""Training by the Python client, side by side with the engine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compox_core import errors
from compox_core.data import write_hdf5
from compox_core.engine import Engine
from compox_core.engine.host import Host
from compox_core.records import SampleRequest, TaskStatus
from compox_core.storage import CHECKPOINTS, SAMPLES
from compox_http.client import Client
from tests.http.learner import deploy_learner
from tests.http.serving import Wire, image, served, settings_for

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


@pytest.fixture(scope="module")
def learner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The algorithm that learns; its id."""
    return deploy_learner(engine, tmp_path_factory.mktemp("learner"))


@pytest.fixture
def client(wire: Wire, learner: str) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(wire.url) as client:
        yield client


@pytest.fixture(params=["client", "engine"])
def host(request: pytest.FixtureRequest, client: Client, engine: Engine) -> Host:
    """A client, and the engine that it is a client of: what follows is the same for both."""
    return client if request.param == "client" else engine


def test_samples_of_arrays_and_files(client: Client, engine: Engine, tmp_path: Path) -> None:
    """What is not stored is stored; client and engine read the same sample."""
    with (tmp_path / "t.h5").open("wb") as file:
        write_hdf5(file, {"mask": np.ones((4, 4), np.uint8)})
    stored = client.files.save({"image": image()})
    groups = [{"input": [image(), stored], "target": tmp_path / "t.h5"}]
    record = client.samples.create(groups, tags=["  CT", "ct"])
    assert record == client.samples.get(record.sample_id) == engine.samples.get(record.sample_id)
    assert (record.tags, record.keys, record.files[0]["input"][1]) == (["ct"], ["input", "target"], stored)
    np.testing.assert_array_equal(client.files.read(record.files[0]["input"][0])["image"], image())
    assert client.files.read(record.files[0]["target"][0])["mask"].shape == (4, 4)
    assert record in client.samples.list(["CT"]) and record not in client.samples.list((), ["ct"])
    assert record in list(client.samples) and client.samples.missing_files(record) == []
    again = client.samples.submit(SampleRequest(files=record.files))
    assert again.files == record.files
    for each in (record, again):
        client.samples.delete(each.sample_id)
    with pytest.raises(errors.NotFoundError) as caught:
        client.samples.get(record.sample_id)
    assert caught.value.code == "sample_not_found"


def test_what_was_stored_for_a_sample_that_is_refused_goes_again(client: Client, engine: Engine) -> None:
    """Nothing stays of it."""
    before = sum(1 for _ in engine.store.list("data-store"))
    with pytest.raises(errors.NotFoundError) as caught:
        client.samples.create({"input": [image(), "019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27"]})
    assert caught.value.code == "sample_input_files_not_found"
    assert sum(1 for _ in engine.store.list("data-store")) == before


def test_a_training_from_samples_to_a_run(host: Host, client: Client) -> None:
    """Train, wait, look, run with the checkpoint, go on from it."""
    sample = client.samples.create({"input": image()}, tags=["train"])
    handle = host.train("Learner", sample, tags="Mine", steps=3)
    told: list[float] = []
    checkpoints = handle.result(60, told.append)
    assert told[-1] == 1.0 and handle.done
    assert [each.properties for each in checkpoints] == [{"step": 0}, {"step": 1}, {"step": 2}]
    assert checkpoints == handle.checkpoints and checkpoints[0].tags == ["Mine"]
    assert checkpoints[0].size == len("2.0") and list(checkpoints[0].assets) == ["files/factor.txt"]
    record = handle.record
    assert (record.status, record.state, record.training_data) == (
        TaskStatus.COMPLETED, {"step": 2}, [sample.sample_id],
    )  # fmt: skip
    assert "learning from 1 files" in handle.log
    metrics = handle.metrics()
    assert metrics.values("loss") == [1.0, 0.5, 1 / 3] and metrics.steps("odd") == [1]
    assert math.isnan(metrics.values("odd")[0]) and metrics[0].time.tzinfo is not None
    result = host.run("learner", image(), checkpoint=checkpoints[-1], progress=False)
    np.testing.assert_array_equal(np.asarray(result), image() * 4)
    more = host.train("learner", [sample.sample_id], checkpoint=checkpoints[-1], parameters={"steps": 1})
    [child] = more.result(60, progress=False)
    assert child.parent_checkpoint_id == checkpoints[-1].checkpoint_id


def test_a_long_history_comes_whole(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """In as many requests as it takes."""
    monkeypatch.setattr("compox_http.client.jobs.POINTS", 7)
    handle = client.train("learner", [], steps=2, points=40)
    handle.wait(60)
    assert [point.step for point in handle.metrics()] == list(range(80))
    assert client.train("learner", [], steps=1, points=0).wait(60).status is TaskStatus.COMPLETED


def test_a_training_is_stopped(host: Host) -> None:
    """Its checkpoints stay; it cannot be stopped twice, and its result is an error that says so."""
    handle = host.train("learner", [], wait_at=0, gate="/none/such")
    while not handle.progress:
        assert not handle.wait(0.01).status.final
    with pytest.raises(errors.StateError) as late:
        handle.result(0.01)
    assert late.value.code == "wait_timed_out"
    handle.stop()
    assert handle.wait(60).status is TaskStatus.STOPPED and len(handle.checkpoints) == 1
    with pytest.raises(errors.TaskFailedError):
        handle.result()
    with pytest.raises(errors.ConflictError) as caught:
        handle.stop()
    assert caught.value.code == "training_not_stoppable"


def test_a_failure_tells_its_cause(host: Host) -> None:
    """The message is that of the algorithm's exception; what was saved can be used."""
    handle = host.train("learner", [], fail=True)
    with pytest.raises(errors.TaskFailedError, match="no more patience"):
        handle.result(60)
    assert len(handle.checkpoints) == 2


def test_checkpoints_are_found(client: Client, engine: Engine) -> None:
    """By tag, algorithm and training, as in the engine; deleted, they are gone."""
    ids = [client.train("learner", [], tags=[tag]) for tag in ("Red one", "blue one")]
    for each in ids:
        each.wait(60)
    for query in (
        {"positive_tags": ["RED ONE"]},
        {"negative_tags": ["red one"], "algorithm": "LEARNER"},
        {"training_id": ids[1].id},
        {"algorithm": engine.algorithms.get("learner").algorithm_id},
        {"algorithm": "double"},
    ):
        here = [each.checkpoint_id for each in engine.checkpoints.list(**query)]
        assert [each.checkpoint_id for each in client.checkpoints.list(**query)] == here
    assert len(client.checkpoints.list(training_id=ids[1].id)) == 2
    with pytest.raises(errors.NotFoundError) as caught:
        client.checkpoints.list(algorithm="none such")
    assert caught.value.code == "algorithm_not_found"
    for record in client.checkpoints.list(training_id=ids[0].id):
        client.checkpoints.delete(record.checkpoint_id)
        assert record.checkpoint_id not in [each.checkpoint_id for each in client.checkpoints]
        with pytest.raises(errors.NotFoundError):
            client.checkpoints.get(record.checkpoint_id)


def test_an_export_with_a_checkpoint(client: Client, tmp_path: Path) -> None:
    """It deploys elsewhere and gives what the checkpoint gives here."""
    [*_, last] = client.train("learner", []).result(60, progress=False)
    path = client.algorithms.export("learner", target=tmp_path / "l.zip", checkpoint_id=last.checkpoint_id)
    with Engine("memory://") as other:
        other.deploy(path)
        there = other.run("learner", image(), progress=False)
    np.testing.assert_array_equal(there, client.run("learner", image(), checkpoint=last, progress=False))


def test_empty_lists_are_empty(tmp_path: Path) -> None:
    """Where the server says that there is none at all."""
    with Engine(settings_for("memory", tmp_path)) as engine, served(engine) as url, Client(url) as client:
        assert (client.samples.list(), client.checkpoints.list()) == ([], [])


def test_errors_are_those_of_the_engine(host: Host, client: Client, engine: Engine) -> None:
    """The same classes and codes."""
    sample = engine.samples.create({"input": image()})
    file_id = sample.file_ids[0]
    [checkpoint, broken] = client.train("learner", []).result(60, progress=False)
    engine.store.put(CHECKPOINTS, f"record/{broken.checkpoint_id}", b"{")
    unreadable = engine.samples.create({"input": image()}).sample_id
    engine.store.put(SAMPLES, f"record/{unreadable}", b"{")
    nothing = "019a9f43-2b57-7d06-a1c4-9e8d3f6b7a02"
    cases: list[tuple[object, type[errors.CompoxError], str]] = [
        (lambda: host.files.delete(file_id), errors.ConflictError, "file_in_use"),
        (lambda: host.train("learner", nothing), errors.NotFoundError, "input_samples_not_found"),
        (lambda: host.train("learner", [], steps=0), errors.ParameterError, "invalid_parameter"),
        (lambda: host.train("learner", [], minor=9), errors.NotFoundError, "minor_version_not_found"),
        (lambda: host.train("double", [], checkpoint=checkpoint), errors.InvalidInputError, "invalid_checkpoint"),
        (lambda: host.trainings.get("x"), errors.NotFoundError, "training_record_not_found"),
        (lambda: host.trainings.metrics("x"), errors.NotFoundError, "training_record_not_found"),
        (lambda: host.checkpoints.get("x"), errors.NotFoundError, "checkpoint_not_found"),
        (lambda: host.checkpoints.get(broken.checkpoint_id), errors.StorageError, "invalid_checkpoint_record"),
        (lambda: host.train("learner", unreadable), errors.StorageError, "invalid_sample_manifest"),
    ]
    for call, kind, code in cases:
        assert callable(call)
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.code == code
    for each in (sample.sample_id, unreadable):
        engine.samples.delete(each)
    client.checkpoints.delete(broken.checkpoint_id)

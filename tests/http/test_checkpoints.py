"""Checkpoints over HTTP: list, show, delete; run, train and export with them."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import h5py
import httpx2
import numpy as np
import pytest

from compox_core.engine import Engine
from compox_core.storage import CHECKPOINTS
from tests.http.learner import Training, deploy_learner, write_learner
from tests.http.serving import API, Wire, hdf5_bytes, image, served, settings_for

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
NOTHING = "019a9f45-7f10-7e6b-b8d2-3c5a9e4f0d71"
KEYS = [
    "checkpoint_id", "training_id", "parent_algorithm_id", "created_at", "properties", "tags", "parent_checkpoint_id",
    "algorithm_minor_version", "assets",
]  # fmt: skip


@pytest.fixture(scope="module")
def learner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The algorithm that learns; its id."""
    return deploy_learner(engine, tmp_path_factory.mktemp("learner"))


@pytest.fixture
def training(wire: Wire, learner: str) -> Training:
    """A client of trainings."""
    return Training(wire)


def test_a_checkpoint_tells_where_it_comes_from(training: Training, wire: Wire, learner: str) -> None:
    """Its training, algorithm, minor version and parent; properties as JSON; tags as they were given; time in UTC."""
    first = training.submit([], tags=[" Exp 1", "CT"])
    [one, two] = training.finish(first)["output_checkpoint_ids"]
    body = wire.http.get(f"{API}/checkpoint/{two}").json()
    assert list(body) == KEYS and UTC.fullmatch(body["created_at"])
    assert (body["training_id"], body["parent_algorithm_id"]) == (first, learner)
    assert (body["properties"], body["tags"]) == ({"step": 1}, [" Exp 1", "CT"])
    assert (body["parent_checkpoint_id"], body["algorithm_minor_version"]) == (None, "0")
    assert body["assets"]["files/factor.txt"]["size"] == 3
    assert wire.http.get(f"{API}/checkpoint/{one}").json()["properties"] == {"step": 0}


def test_a_training_goes_on_from_a_checkpoint(training: Training, wire: Wire, tmp_path: Path) -> None:
    """It begins with what that one has learned, and names it in its record and in what it saves."""
    parent = training.finish(training.submit([]))["output_checkpoint_ids"][-1]
    record = training.finish(training.submit([], checkpoint_id=parent))
    assert record["checkpoint_id"] == parent
    child = wire.http.get(f"{API}/checkpoint/{record['output_checkpoint_ids'][-1]}").json()
    assert child["parent_checkpoint_id"] == parent
    for checkpoint_id, factor in ((parent, 3.0), (child["checkpoint_id"], 5.0)):
        assert run(wire, checkpoint_id, tmp_path).tolist() == (image() * np.float32(factor)).tolist()


def run(wire: Wire, checkpoint_id: str, folder: Path) -> np.ndarray:
    """Return what the algorithm makes of a picture with a checkpoint."""
    run_id = wire.execute("learner", [wire.upload(hdf5_bytes(folder, image=image()))], checkpoint_id=checkpoint_id)
    record = wire.finish(run_id)
    assert (record["status"], record["checkpoint_id"]) == ("COMPLETED", checkpoint_id), record
    content = wire.http.get(f"{API}/files/{record['output_dataset_ids'][0]}").content
    with h5py.File(io.BytesIO(content)) as file:
        found: np.ndarray = file["image"][()]
    return found


def test_checkpoints_are_listed_by_tags(training: Training, wire: Wire) -> None:
    """In any case, on both sides; all of the positive ones and none of the negative ones; oldest first."""
    a, b = (training.finish(training.submit([], tags=[tag, "Both"])) for tag in ("Alpha", "beta"))
    ids = [*a["output_checkpoint_ids"], *b["output_checkpoint_ids"]]
    for query, expected in (
        ({"positive_tags": "both"}, ids),
        ({"positive_tags": ["BOTH", " alpha "]}, ids[:2]),
        ({"positive_tags": "Both", "negative_tags": "ALPHA"}, ids[2:]),
    ):
        answer = wire.http.get(f"{API}/checkpoint/all", params=query)
        assert [each["checkpoint_id"] for each in answer.json()] == expected
        assert all(list(each) == KEYS for each in answer.json())
    assert wire.http.get(f"{API}/checkpoint/all", params={"positive_tags": "no"}).json() == []


def test_a_store_without_checkpoints_says_so(tmp_path: Path) -> None:
    """404, as its clients expect."""
    with Engine(settings_for("memory", tmp_path)) as engine, served(engine) as url:
        wire = Wire(url)
        answer = wire.http.get(f"{API}/checkpoint/all")
        assert (answer.status_code, answer.json()["code"]) == (404, "checkpoints_not_found")
        wire.close()


def test_a_checkpoint_is_deleted(training: Training, wire: Wire) -> None:
    """It leaves the record of its training, and the others stay."""
    training_id = training.submit([])
    [one, two] = training.finish(training_id)["output_checkpoint_ids"]
    answer = wire.http.delete(f"{API}/checkpoint/{one}")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Checkpoint deleted successfully"})
    assert training.record(training_id)["output_checkpoint_ids"] == [two]
    for method in ("GET", "DELETE"):
        answer = wire.http.request(method, f"{API}/checkpoint/{one}")
        assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")
    assert wire.http.get(f"{API}/checkpoint/{two}").status_code == 200


@pytest.mark.parametrize("checkpoint_id", ["x", NOTHING, "all "])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_checkpoint_that_is_not_there(wire: Wire, method: str, checkpoint_id: str) -> None:
    """404 with its id."""
    answer = wire.http.request(method, f"{API}/checkpoint/{checkpoint_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")
    assert answer.json()["details"] == {"checkpoint_id": checkpoint_id}


def test_all_is_an_id_for_a_delete(wire: Wire) -> None:
    """As clients know it: nothing is deleted."""
    answer = wire.http.delete(f"{API}/checkpoint/all")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")


def test_a_checkpoint_that_cannot_be_read(training: Training, wire: Wire, engine: Engine) -> None:
    """400 with its code; lists leave it out, runs refuse it, and it can be deleted."""
    [one, two] = training.finish(training.submit([], tags=["broken"]))["output_checkpoint_ids"]
    engine.store.put(CHECKPOINTS, f"record/{one}", b"{")
    answer = wire.http.get(f"{API}/checkpoint/{one}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_checkpoint_record")
    found = wire.http.get(f"{API}/checkpoint/all", params={"positive_tags": "broken"}).json()
    assert [each["checkpoint_id"] for each in found] == [two]
    assert asked(wire, "learner", one).status_code == 400
    assert wire.http.delete(f"{API}/checkpoint/{one}").status_code == 200
    assert wire.http.get(f"{API}/checkpoint/{one}").status_code == 404


def asked(wire: Wire, name: str, checkpoint_id: str, path: str = f"{API}/execute-algorithm") -> httpx2.Response:
    """Return the answer to a run, or another request, with a checkpoint."""
    body = {
        "algorithm_id": wire.algorithm_id(name),
        "input_dataset_ids": [],
        "training_data": [],
        "checkpoint_id": checkpoint_id,
    }
    return wire.http.post(path, json=body)


@pytest.mark.parametrize("path", [f"{API}/execute-algorithm", "/api/v1/executions", f"{API}/train-algorithm"])
def test_a_checkpoint_that_does_not_fit_is_refused_at_submit(
    training: Training, wire: Wire, engine: Engine, tmp_path: Path, path: str
) -> None:
    """One that is not there (404), of another algorithm, or with paths that the version has not (400)."""
    checkpoint_id = training.finish(training.submit([]))["output_checkpoint_ids"][0]
    answer = asked(wire, "learner", NOTHING, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")
    answer = asked(wire, "double", checkpoint_id, path)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_checkpoint")
    assert answer.json()["details"]["checkpoint_id"] == checkpoint_id
    name = f"renamed{path.count('/')}{len(path)}"
    deploy_learner(engine, tmp_path / "first", name)
    old = training.finish(training.submit([], name))["output_checkpoint_ids"][0]
    engine.deploy(write_learner(tmp_path / "second", name, asset="other.txt"))
    answer = asked(wire, name, old, path)
    assert (answer.status_code, answer.json()["code"]) == (400, "checkpoint_asset_incompatible")
    assert answer.json()["details"]["paths"] == ["files/factor.txt"]


def test_an_export_with_a_checkpoint_is_whole_and_deploys_anywhere(
    training: Training, wire: Wire, tmp_path: Path
) -> None:
    """The package with the checkpoint's assets in place of those that were deployed."""
    checkpoint_id = training.finish(training.submit([]))["output_checkpoint_ids"][-1]
    path = f"{API}/algorithm/learner/1/export"
    answer = wire.http.get(path, params={"checkpoint_id": checkpoint_id})
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["Runner.py", "files/factor.txt", "pyproject.toml"]
        assert archive.read("files/factor.txt") == b"3.0"
    with Engine(settings_for("memory", tmp_path)) as other, served(other) as url:
        far = Wire(url)
        assert far.http.post("/api/v1/algorithms", content=answer.content).status_code == 201
        assert other.run("learner", image(), progress=False).tolist() == (image() * 3).tolist()
        far.close()
    answer = wire.http.get(path, params={"checkpoint_id": NOTHING})
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint_not_found")
    answer = wire.http.get(f"{API}/algorithm/double/1/export", params={"checkpoint_id": checkpoint_id})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_checkpoint")

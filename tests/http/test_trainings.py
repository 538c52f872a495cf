"""Trainings over HTTP: submit, follow, stop, list, measure."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from tests.http.learner import Training, deploy_learner
from tests.http.serving import API, Wire, error_body

LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
KEYS = [
    "training_id", "algorithm_id", "status", "progress", "time_started", "time_completed", "log", "training_data",
    "additional_parameters", "state", "tags", "checkpoint_id", "algorithm_minor_version", "output_checkpoint_ids",
    "error", "stopped_by", "attempt", "resolved_execution_device",
]  # fmt: skip


@pytest.fixture(scope="module")
def learner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The algorithm that learns; its id."""
    return deploy_learner(engine, tmp_path_factory.mktemp("learner"))


@pytest.fixture
def training(wire: Wire, learner: str) -> Training:
    """A client of trainings."""
    return Training(wire)


@pytest.fixture
def sample(training: Training, wire: Wire, content: bytes) -> str:
    """A sample of one file."""
    return training.sample(wire.upload(content))


def test_a_training_is_submitted_and_completes(training: Training, wire: Wire, sample: str, learner: str) -> None:
    """The record has the keys that clients know, filled in parameters, the last state, and the checkpoints."""
    training_id = training.submit([sample, sample], tags=["Exp 1"], additional_parameters={"mine": [1, None]})
    record = training.finish(training_id)
    assert list(record) == KEYS
    assert (record["status"], record["progress"], record["error"]) == ("COMPLETED", 1.0, None)
    assert LOCAL.fullmatch(record["time_started"]) and UTC.fullmatch(record["time_completed"])
    assert (record["training_id"], record["algorithm_id"]) == (training_id, learner)
    assert record["training_data"] == [sample, sample]
    filled = {"steps": 2, "points": 1, "wait_at": -1, "gate": "", "fail": False, "mine": [1, None]}
    assert record["additional_parameters"] == filled
    assert (record["state"], record["tags"]) == ({"step": 1}, ["Exp 1"])
    assert (record["checkpoint_id"], record["algorithm_minor_version"]) == (None, None)
    assert (record["attempt"], record["stopped_by"], record["resolved_execution_device"]) == (1, None, "cpu")
    assert len(record["output_checkpoint_ids"]) == 2
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO learning from 2 files$", record["log"], re.MULTILINE)


def test_a_record_is_followed_while_it_trains(training: Training, sample: str, tmp_path: Path) -> None:
    """State, progress and checkpoints as they come; `time_completed` is null until the end."""
    gate = tmp_path / "go"
    wanted = {"wait_at": 0, "gate": str(gate), "steps": 4}
    training_id = training.submit([sample], additional_parameters=wanted)
    record = training.until(training_id, progress=0.25, state={"step": 0})
    assert (record["status"], record["time_completed"]) == ("RUNNING", None)
    assert len(record["output_checkpoint_ids"]) == 1
    gate.touch()
    assert len(training.finish(training_id)["output_checkpoint_ids"]) == 4


def test_a_training_is_stopped_and_keeps_what_it_saved(training: Training, wire: Wire, sample: str) -> None:
    """STOPPED with its checkpoints and a local time; then it cannot be stopped any more."""
    wanted = {"wait_at": 0, "gate": "/none/such"}
    training_id = training.submit([sample], additional_parameters=wanted)
    training.until(training_id, progress=0.5)
    for _ in range(2):
        answer = wire.http.post(f"{API}/training/{training_id}/stop")
        if answer.status_code == 200:
            assert answer.json() == {"detail": "Stop request posted successfully"}
    record = training.finish(training_id)
    assert (record["status"], record["progress"]) == ("STOPPED", 0.5)
    assert LOCAL.fullmatch(record["time_completed"]) and len(record["output_checkpoint_ids"]) == 1
    answer = wire.http.post(f"{API}/training/{training_id}/stop")
    assert error_body(answer) | {"detail": ""} == {
        "detail": "",
        "code": "training_not_stoppable",
        "retryable": False,
        "details": {"training_id": training_id, "status": "STOPPED"},
    }
    assert answer.status_code == 400


def test_a_training_that_fails_says_why_and_keeps_what_it_saved(training: Training, sample: str) -> None:
    """FAILED with the exception, a local time, and the checkpoints."""
    record = training.finish(training.submit([sample], additional_parameters={"fail": True}))
    assert (record["status"], record["error"]["type"]) == ("FAILED", "ValueError")
    assert record["error"]["message"] == "no more patience"
    assert LOCAL.fullmatch(record["time_completed"]) and len(record["output_checkpoint_ids"]) == 2


def test_a_time_limit_ends_a_training(training: Training, sample: str) -> None:
    """`timeout_s` is honoured, and what was saved stays."""
    wanted = {"wait_at": 0, "gate": "/none/such"}
    record = training.finish(training.submit([sample], additional_parameters=wanted, timeout_s=0.5))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "timed_out")


@pytest.mark.parametrize("fields", [{"additional_parameters": None, "execution_device_override": None}, {"tags": []}])
def test_nulls_are_as_good_as_nothing(training: Training, sample: str, fields: dict[str, Any]) -> None:
    """Of clients that write every key; the minor version may be a number; the device is the one that was asked for."""
    nothing = {"checkpoint_id": None, "timeout_s": None, "algorithm_minor_version": 0, "unknown": 1}
    record = training.finish(training.submit([sample], **nothing, **fields))
    assert (record["status"], record["algorithm_minor_version"]) == ("COMPLETED", "0")
    record = training.finish(training.submit([sample], execution_device_override="CPU"))
    assert record["resolved_execution_device"] == "cpu"


def refused(wire: Wire, **body: Any) -> tuple[int, str, Any]:
    """Return the status, the code and the details of a training that is not accepted."""
    answer = wire.http.post(f"{API}/train-algorithm", json=body)
    error = error_body(answer)
    return answer.status_code, error["code"], error.get("details")


def test_what_cannot_be_trained_is_refused_at_submit(training: Training, wire: Wire, sample: str, learner: str) -> None:
    """Samples first, then the algorithm, its version, the checkpoint, the parameters: each with what is wrong."""
    nothing = "019a9f43-2b57-7d06-a1c4-9e8d3f6b7a02"
    ask = {"algorithm_id": learner, "training_data": [sample]}
    assert refused(wire, algorithm_id="x", training_data=[nothing, sample, "../x"]) == (
        404, "input_samples_not_found", {"missing_sample_ids": [nothing, "../x"]},
    )  # fmt: skip
    assert refused(wire, **ask | {"algorithm_id": "x"}) == (404, "algorithm_not_found", {"algorithm_id": "x"})
    status, code, _ = refused(wire, **ask, algorithm_minor_version="9")
    assert (status, code) == (404, "minor_version_not_found")
    assert refused(wire, **ask, checkpoint_id=nothing) == (404, "checkpoint_not_found", {"checkpoint_id": nothing})
    for value in (0, 2000, "2", 1.5):
        status, code, details = refused(wire, **ask, additional_parameters={"steps": value})
        assert (status, code, details["parameter"]) == (422, "invalid_parameter", "steps")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"training_data": []}',
        b'{"algorithm_id": "x"}',
        b'{"algorithm_id": "x", "training_data": "y"}',
        b'{"algorithm_id": "x", "training_data": [], "tags": "t"}',
        b'{"algorithm_id": "x", "training_data": [], "additional_parameters": []}',
        b'{"algorithm_id": "x", "training_data": [], "timeout_s": 0}',
    ],
)
def test_a_request_that_is_none_is_422(wire: Wire, body: bytes) -> None:
    """With a list of what is wrong."""
    answer = wire.http.post(f"{API}/train-algorithm", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")
    assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/training/{{}}"),
        ("POST", f"{API}/training/{{}}/stop"),
        ("GET", "/api/v1/trainings/{}/metrics"),
        ("GET", "/api/v1/trainings/{}/metrics?first=7"),
        ("GET", "/api/v1/trainings/{}/metrics.csv"),
        ("GET", "/api/v1/trainings/{}/events"),
    ],
)
def test_a_training_that_is_not_there(wire: Wire, method: str, path: str) -> None:
    """404 with its id."""
    answer = wire.http.request(method, path.format("x"))
    assert (answer.status_code, answer.json()["code"]) == (404, "training_record_not_found")
    assert answer.json()["details"] == {"training_id": "x"}


def test_a_metric_history_is_read_in_pages(training: Training, wire: Wire, sample: str) -> None:
    """All points in their order, each once, however large the pages are; words where JSON has no number."""
    training_id = training.submit([sample], additional_parameters={"steps": 3, "points": 5})
    training.finish(training_id)
    path = f"/api/v1/trainings/{training_id}/metrics"
    whole = wire.http.get(path).json()
    assert list(whole) == ["points", "next"] and whole["next"] == len(whole["points"]) == 15
    assert [point["step"] for point in whole["points"]] == list(range(15))
    assert whole["points"][0]["values"] == {"loss": 1.0} and whole["points"][0]["time"].endswith("Z")
    assert whole["points"][5]["values"] == {"loss": 0.5, "odd": "NaN"}
    found, first = [], 0
    while (page := wire.http.get(path, params={"first": first, "limit": 4}).json())["points"]:
        found += page["points"]
        first = page["next"]
    assert found == whole["points"]
    assert wire.http.get(path, params={"first": 99}).json() == {"points": [], "next": 99}


@pytest.mark.parametrize("query", ["first=-1", "first=x", "limit=0", "limit=10001"])
def test_a_page_of_metrics_has_limits(wire: Wire, query: str) -> None:
    """422."""
    answer = wire.http.get(f"/api/v1/trainings/x/metrics?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")


def test_a_metric_history_is_a_table(training: Training, wire: Wire, sample: str) -> None:
    """CSV with a column for each metric, as an attachment; empty where a point has not that metric."""
    training_id = training.submit([sample], additional_parameters={"steps": 3, "points": 2000})
    training.finish(training_id)
    answer = wire.http.get(f"/api/v1/trainings/{training_id}/metrics.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="metrics-{training_id}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["step", "time", "loss", "odd"] and len(rows) == 6000
    assert [int(row["step"]) for row in rows] == list(range(6000))
    assert (rows[0]["loss"], rows[0]["odd"], rows[2000]["odd"]) == ("1.0", "", "nan")


def test_a_history_is_readable_while_it_grows(training: Training, wire: Wire, sample: str, tmp_path: Path) -> None:
    """Pages and table have what was logged so far."""
    gate = tmp_path / "go"
    wanted = {"wait_at": 0, "gate": str(gate), "steps": 2, "points": 3}
    training_id = training.submit([sample], additional_parameters=wanted)
    training.until(training_id, progress=0.5)
    path = f"/api/v1/trainings/{training_id}/metrics"
    assert wire.http.get(path).json()["next"] == 3
    assert len(wire.http.get(f"{path}.csv").text.splitlines()) == 4
    gate.touch()
    training.finish(training_id)
    assert wire.http.get(path, params={"first": 3}).json()["next"] == 6


def test_trainings_are_listed_in_pages(training: Training, wire: Wire, sample: str, learner: str) -> None:
    """The newest first and without their logs, by status and algorithm, until there is no cursor."""
    ids = [training.submit([sample], additional_parameters={"fail": n == 2}) for n in range(4)]
    for each in ids:
        training.finish(each)
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"algorithm": "LEARNER", "status": "completed", "limit": 2}
    while True:
        page = wire.http.get("/api/v1/trainings", params=query).json()
        found += page["trainings"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [each["training_id"] for each in found][:3] == [ids[3], ids[1], ids[0]]
    assert {(each["status"], each["log"], each["algorithm_id"]) for each in found} == {("COMPLETED", "", learner)}
    assert found[0]["time_completed"].endswith("Z") and len(found[0]["output_checkpoint_ids"]) == 2
    failed = wire.http.get("/api/v1/trainings", params={"status": "FAILED", "limit": 1}).json()["trainings"]
    assert failed[0]["training_id"] == ids[2]
    for query, status, code in (
        ({"status": "x"}, 422, "request_validation_error"),
        ({"algorithm": "none such"}, 404, "algorithm_not_found"),
        ({"cursor": "*"}, 422, "invalid_cursor"),
    ):
        answer = wire.http.get("/api/v1/trainings", params=query)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_training_without_samples_is_the_algorithms_affair(training: Training) -> None:
    """It is accepted; this algorithm does without."""
    assert training.finish(training.submit([]))["status"] == "COMPLETED"


def test_an_algorithm_that_does_not_train(training: Training, sample: str) -> None:
    """FAILED with one cause that says so."""
    record = training.finish(training.submit([sample], "double"))
    assert (record["status"], record["error"]["code"]) == ("FAILED", "runner_hook_missing")

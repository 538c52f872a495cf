"""Runs over HTTP: submit, follow, stop."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from tests.http.serving import API, Wire, image

KEYS = [
    "execution_id", "algorithm_id", "checkpoint_id", "algorithm_minor_version", "input_dataset_ids",
    "execution_device_override", "resolved_execution_device", "additional_parameters", "session_token",
    "output_dataset_ids", "status", "progress", "time_started", "time_completed", "log", "error",
    "stopped_by", "attempt",
]  # fmt: skip
LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?")
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING|ERROR) ")
UNKNOWN = "019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27"


def test_a_run_gives_its_output(wire: Wire, content: bytes) -> None:
    """Upload, execute, follow, download: the output holds what the algorithm computed."""
    source = wire.upload(content)
    record = wire.finish(wire.execute("double", [source], additional_parameters={"factor": 3}))
    assert list(record) == KEYS
    assert record["status"] == "COMPLETED" and record["progress"] == 1.0 and record["error"] is None
    assert record["input_dataset_ids"] == [source]
    assert record["additional_parameters"] == {"factor": 3}
    assert record["checkpoint_id"] is None and record["algorithm_minor_version"] is None
    assert record["execution_device_override"] is None and record["resolved_execution_device"] == "cpu"
    assert record["session_token"]
    assert LOCAL_TIME.fullmatch(record["time_started"]) and LOCAL_TIME.fullmatch(record["time_completed"])
    assert "doubling" in record["log"]
    assert all(LOG_LINE.match(line) for line in record["log"].splitlines())
    [output] = record["output_dataset_ids"]
    with h5py.File(io.BytesIO(wire.http.get(f"{API}/files/{output}").content)) as file:
        np.testing.assert_allclose(file["image"][()], image() * 3, rtol=1e-6)


def test_declared_defaults_are_filled_in(wire: Wire, content: bytes) -> None:
    """A record shows the parameters that the run has."""
    record = wire.record(wire.execute("double", [wire.upload(content)]))
    assert record["additional_parameters"] == {"factor": 2.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"execution_device_override": None, "additional_parameters": None},
        {"algorithm_minor_version": 0},
        {"algorithm_minor_version": "0", "session_token": "mine"},
        {"unheard_of": [1, 2]},
    ],
)
def test_lenient_bodies_run(wire: Wire, content: bytes, fields: dict[str, object]) -> None:
    """Nulls count as absent, a minor version may be a number, unknown keys are ignored."""
    record = wire.finish(wire.execute("double", [wire.upload(content)], **fields))
    assert record["status"] == "COMPLETED", record["log"]
    if "session_token" in fields:
        assert (record["session_token"], record["algorithm_minor_version"]) == ("mine", "0")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "ümlaut"])
def test_the_content_type_does_not_matter(wire: Wire, kind: str | None) -> None:
    """JSON is read as JSON, whatever it is called."""
    body = f'{{"algorithm_id": "{wire.algorithm_id("double")}", "input_dataset_ids": ["x"]}}'
    headers = {} if kind is None else {"content-type": kind.encode()}
    answer = wire.http.post(f"{API}/execute-algorithm", content=body.encode(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "input_datasets_not_found")


def test_a_failed_run_says_why(wire: Wire, content: bytes) -> None:
    """The record has the cause as text and as an object, and no outputs."""
    record = wire.finish(wire.execute("broken", [wire.upload(content)]))
    assert record["status"] == "FAILED" and record["progress"] == 1.0 and record["output_dataset_ids"] == []
    assert (record["error"]["type"], record["error"]["message"]) == ("ValueError", "no such pixel")
    assert "no such pixel" in record["log"]


def test_a_stop_ends_a_run(wire: Wire) -> None:
    """A running task stops; afterwards it cannot be stopped any more."""
    execution_id = wire.execute("endless", [])
    answer = wire.http.post(f"{API}/executions/{execution_id}/stop")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Stop request posted successfully"})
    record = wire.finish(execution_id)
    assert record["status"] == "STOPPED" and record["output_dataset_ids"] == []
    answer = wire.http.post(f"{API}/executions/{execution_id}/stop")
    assert answer.status_code == 400
    assert answer.json()["code"] == "execution_not_stoppable"
    assert answer.json()["details"] == {"execution_id": execution_id, "status": "STOPPED"}


def test_unknown_things_are_404_with_details(wire: Wire, content: bytes) -> None:
    """Each names what is missing."""
    algorithm_id = wire.algorithm_id("double")
    file_id = wire.upload(content)
    cases = [
        ({"algorithm_id": algorithm_id, "input_dataset_ids": ["a", "b"]}, "input_datasets_not_found",
         {"missing_dataset_ids": ["a", "b"]}),
        ({"algorithm_id": UNKNOWN, "input_dataset_ids": [file_id]}, "algorithm_not_found", {"algorithm_id": UNKNOWN}),
        ({"algorithm_id": "..", "input_dataset_ids": []}, "algorithm_not_found", {"algorithm_id": ".."}),
        ({"algorithm_id": algorithm_id, "input_dataset_ids": [], "checkpoint_id": "c"}, "checkpoint_not_found",
         {"checkpoint_id": "c"}),
    ]  # fmt: skip
    for body, code, details in cases:
        answer = wire.http.post(f"{API}/execute-algorithm", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
        assert answer.json()["details"] == details and answer.json()["retryable"] is False
    body = {"algorithm_id": algorithm_id, "input_dataset_ids": [], "algorithm_minor_version": 77}
    answer = wire.http.post(f"{API}/execute-algorithm", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "minor_version_not_found")
    for method, path in (("GET", f"executions/{UNKNOWN}"), ("POST", f"executions/{UNKNOWN}/stop")):
        answer = wire.http.request(method, f"{API}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "execution_record_not_found")
        assert answer.json()["details"] == {"execution_id": UNKNOWN}


@pytest.mark.parametrize("value", [10, -1.0, "2", True, [2], float(10**30)])
def test_a_parameter_that_breaks_its_rule_is_422(wire: Wire, value: object) -> None:
    """Refused at submit, with the parameter named."""
    body = {
        "algorithm_id": wire.algorithm_id("double"),
        "input_dataset_ids": [],
        "additional_parameters": {"factor": value},
    }
    answer = wire.http.post(f"{API}/execute-algorithm", json=body)
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["code"] == "invalid_parameter" and body["details"]["parameter"] == "factor"
    assert isinstance(body["detail"], str) and body["retryable"] is False


def test_eight_clients_run_side_by_side(wire: Wire, content: bytes) -> None:
    """Parallel clients get their own results."""
    source = wire.upload(content)

    def client(number: int) -> list[str]:
        own = Wire(wire.url)
        try:
            ids = [own.execute("double", [source], additional_parameters={"factor": number}) for _ in range(3)]
            records = [own.finish(execution_id) for execution_id in ids]
        finally:
            own.close()
        assert all(record["additional_parameters"] == {"factor": number} for record in records)
        return [record["status"] for record in records]

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(client, range(1, 9))] == [["COMPLETED"] * 3] * 8


def test_numbers_that_json_hardly_has_come_back(wire: Wire) -> None:
    """An integer of any size in a parameter that is not declared does not break the record."""
    execution_id = wire.execute("endless", [], additional_parameters={"big": 10**40, "text": "\u0000é😀"})
    try:
        assert wire.record(execution_id)["additional_parameters"] == {"big": 10**40, "text": "\u0000é😀"}
    finally:
        wire.http.post(f"{API}/executions/{execution_id}/stop")

"""Runs over the interface of today: wait, submit once, list."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.identity import new_id
from tests.http.serving import API, Wire, deploy_all, hdf5_bytes, image, served, settings_for

V1 = "/api/v1/executions"


def body_for(wire: Wire, content: bytes, name: str = "double", **fields: Any) -> dict[str, Any]:
    """Return what asks for a run on a file."""
    return {"algorithm_id": wire.algorithm_id(name), "input_dataset_ids": [wire.upload(content)], **fields}


def test_a_submit_waits_for_the_end(wire: Wire, content: bytes) -> None:
    """The answer is the record, with times in UTC."""
    answer = wire.http.post(V1, params={"wait": 30}, json=body_for(wire, content))
    assert answer.status_code == 200
    record = answer.json()
    assert (record["status"], record["progress"]) == ("COMPLETED", 1.0)
    assert record["time_submitted"].endswith("Z") and "doubling" in record["log"]
    assert wire.http.get(f"{API}/files/{record['output_dataset_ids'][0]}").status_code == 200
    assert wire.http.get(f"{V1}/{record['execution_id']}").json() == record


def test_a_submit_need_not_wait(wire: Wire, content: bytes) -> None:
    """The record is that of a run that goes on; waiting ends when its time is over, and the run does not."""
    for wait in ({}, {"wait": 0}, {"wait": 0.05}):
        answer = wire.http.post(V1, params=wait, json=body_for(wire, content, "endless"))
        assert answer.status_code == 200
        record = answer.json()
        assert record["status"] in ("PENDING", "STARTED", "RUNNING")
        assert wire.http.post(f"{API}/executions/{record['execution_id']}/stop").status_code == 200
        assert wire.finish(record["execution_id"])["status"] == "STOPPED"


def test_many_wait_while_others_are_served(wire: Wire, content: bytes) -> None:
    """Whoever waits holds no thread: more wait than the server has threads, and a stop gets through."""
    body = body_for(wire, content, "endless")
    execution = wire.http.put(f"{V1}/many-{new_id()}", json=body)
    name = execution.json()["execution_id"]
    with ThreadPoolExecutor(90) as pool:
        client_id = f"many-{new_id()}"
        waiting = [pool.submit(wire.http.put, f"{V1}/{client_id}", params={"wait": 30}, json=body) for _ in range(90)]
        for _ in range(1000):
            shown = wire.http.get(f"{V1}/{client_id}")
            if shown.status_code == 200:
                break
            threading.Event().wait(0.01)
        assert wire.http.get("/livez").status_code == 200
        for each in (name, shown.json()["execution_id"]):
            assert wire.http.post(f"{API}/executions/{each}/stop").status_code == 200
        answers = [each.result(60) for each in waiting]
    assert {answer.json()["execution_id"] for answer in answers} == {shown.json()["execution_id"]}
    assert sorted(answer.status_code for answer in answers) == [200] * 89 + [201]
    assert {answer.json()["status"] for answer in answers} == {"STOPPED"}


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", "inf", ""])
def test_a_wait_that_is_none_is_422(wire: Wire, content: bytes, wait: str) -> None:
    """Nothing is submitted."""
    answer = wire.http.post(V1, params={"wait": wait}, json=body_for(wire, content))
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")
    assert answer.json()["detail"][0]["loc"] == ["query", "wait"]


def test_a_submit_that_is_repeated_runs_once(wire: Wire, engine: Engine, content: bytes) -> None:
    """201, then 200, with the same execution; also when that has ended."""
    name, body = f"job:{new_id()}", body_for(wire, content)
    answers = [wire.http.put(f"{V1}/{name}", json=body, params={"wait": wait}) for wait in (0, 0, 30, 0)]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    [execution_id] = {answer.json()["execution_id"] for answer in answers}
    assert answers[-1].json()["status"] == "COMPLETED"
    assert wire.http.get(f"{V1}/{name}").json()["execution_id"] == execution_id
    assert "event: end" in wire.http.get(f"{V1}/{name}/events").text


def test_racing_submits_of_one_id_run_once(wire: Wire, engine: Engine, content: bytes) -> None:
    """However many come at once."""
    body = body_for(wire, content)
    for _ in range(5):
        place = f"{V1}/race-{new_id()}"
        with ThreadPoolExecutor(12) as pool:
            racing = [pool.submit(wire.http.put, place, json=body, params={"wait": 30}) for _ in range(12)]
            answers = [each.result() for each in racing]
        assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201], answers[0].text
        assert len({answer.json()["execution_id"] for answer in answers}) == 1
        assert {answer.json()["status"] for answer in answers} == {"COMPLETED"}


def test_an_id_means_one_request(wire: Wire, content: bytes) -> None:
    """Another one under it is refused with what is there."""
    name, body = f"job-{new_id()}", body_for(wire, content)
    first = wire.http.put(f"{V1}/{name}", json=body).json()
    answer = wire.http.put(f"{V1}/{name}", json={**body, "additional_parameters": {"factor": 3.0}})
    assert (answer.status_code, answer.json()["code"]) == (409, "submit_conflict")
    assert answer.json()["details"]["task_id"] == first["execution_id"]


def test_an_id_whose_request_was_refused_is_free(wire: Wire, content: bytes) -> None:
    """A better request may follow."""
    name, body = f"job-{new_id()}", body_for(wire, content)
    answer = wire.http.put(f"{V1}/{name}", json={**body, "input_dataset_ids": ["x"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "input_datasets_not_found")
    assert wire.http.get(f"{V1}/{name}").status_code == 404
    assert wire.http.put(f"{V1}/{name}", json=body).status_code == 201


def test_an_id_whose_record_was_deleted_is_free(wire: Wire, content: bytes) -> None:
    """The same request runs once more."""
    name, body = f"job-{new_id()}", body_for(wire, content)
    first = wire.http.put(f"{V1}/{name}", json=body, params={"wait": 30}).json()["execution_id"]
    wire.http.delete(f"{API}/execute-algorithm/{first}")
    assert wire.http.get(f"{V1}/{name}").status_code == 404
    again = wire.http.put(f"{V1}/{name}", json=body, params={"wait": 30})
    assert (again.status_code, again.json()["status"]) == (201, "COMPLETED")


@pytest.mark.parametrize("bad", ["~", "a b", "%00", "x" * 129, "ü", "-x"])
def test_an_id_that_cannot_be_one_is_422(wire: Wire, content: bytes, bad: str) -> None:
    """With the rule."""
    answer = wire.http.put(f"{V1}/{bad}", json=body_for(wire, content))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_client_id")


@pytest.fixture(scope="module", params=["memory", "local"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of its own with seven runs: five doubled, two that broke."""
    folder = tmp_path_factory.mktemp("shelf")
    with Engine(settings_for(request.param, folder / "store")) as engine:
        deploy_all(engine, folder / "algorithms")
        with served(engine) as url:
            wire = Wire(url)
            file_id = wire.upload(hdf5_bytes(folder, image=image()))
            ids = [wire.execute("double" if n not in (2, 4) else "broken", [file_id]) for n in range(7)]
            for execution_id in ids:
                wire.finish(execution_id)
            yield wire, ids, engine, folder
            wire.close()


def pages(wire: Wire, **query: Any) -> list[list[dict[str, Any]]]:
    """Return all pages of a list."""
    found = []
    cursor: dict[str, str] = {}
    while True:
        answer = wire.http.get(V1, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["executions"])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


def test_the_newest_come_first_in_pages(shelf: Any) -> None:
    """Each once, without its log, whatever the size of a page."""
    wire, ids, _, _ = shelf
    for limit in (1, 2, 3, 7, 50):
        found = pages(wire, limit=limit)
        assert [each["execution_id"] for page in found for each in page] == ids[::-1]
        assert all(len(page) <= limit for page in found)
        assert {(each["log"], each["session_token"]) for page in found for each in page} == {("", None)}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status": "COMPLETED"}, 5),
        ({"status": "failed"}, 2),
        ({"status": "RUNNING"}, 0),
        ({"algorithm": "double"}, 5),
        ({"algorithm": "BROKEN"}, 2),
        ({"algorithm": "double", "status": "FAILED"}, 0),
        ({"algorithm": "endless"}, 0),
    ],
)
def test_filters_are_anded(shelf: Any, query: dict[str, str], count: int) -> None:
    """In pages of any size."""
    wire, _, _, _ = shelf
    for limit in (1, 2, 50):
        assert sum(len(page) for page in pages(wire, limit=limit, **query)) == count
    if "algorithm" in query:
        name = query["algorithm"].lower()
        by_id = {**query, "algorithm": wire.algorithm_id(name)}
        assert sum(len(page) for page in pages(wire, **by_id)) == count


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"status": "nonsense"}, 422, "request_validation_error"),
        ({"limit": 0}, 422, "request_validation_error"),
        ({"limit": 501}, 422, "request_validation_error"),
        ({"limit": "x"}, 422, "request_validation_error"),
        ({"cursor": "../x"}, 422, "invalid_cursor"),
        ({"algorithm": "nothing"}, 404, "algorithm_not_found"),
        ({"algorithm": "\0"}, 404, "algorithm_not_found"),
    ],
)
def test_a_list_that_cannot_be_asked_for(shelf: Any, query: dict[str, Any], status: int, code: str) -> None:
    """The reason, and its place."""
    answer = shelf[0].http.get(V1, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_one_bad_record_spoils_no_list(shelf: Any) -> None:
    """It is left out of the pages and of the old list."""
    wire, ids, engine, _ = shelf
    bad = new_id()
    engine.store.put("execution-store", f"record/{bad}", b"no JSON")
    try:
        assert [each["execution_id"] for page in pages(wire, limit=3) for each in page] == ids[::-1]
        old = wire.http.get(f"{API}/execute-algorithm/all")
        assert old.status_code == 200 and [each["execution_id"] for each in old.json()] == ids
    finally:
        engine.store.delete("execution-store", f"record/{bad}")


def test_records_are_deleted_and_those_that_run_stay(tmp_path: Path) -> None:
    """The hidden routes of old clients."""
    with Engine(settings_for("local", tmp_path / "store")) as engine:
        deploy_all(engine, tmp_path / "algorithms")
        with served(engine) as url:
            wire = Wire(url)
            assert wire.http.get(f"{API}/execute-algorithm/all").json() == []
            file_id = wire.upload(hdf5_bytes(tmp_path, image=image()))
            done = [wire.execute("double", [file_id]) for _ in range(70)]
            for execution_id in done:
                wire.finish(execution_id)
            running = wire.execute("endless", [file_id])
            assert len(wire.http.get(f"{API}/execute-algorithm/all").json()) == 71
            place = f"{API}/execute-algorithm"
            for execution_id in (done[0], done[0], "unknown"):
                answer = wire.http.delete(f"{place}/{execution_id}")
                assert (answer.status_code, answer.json()) == (200, {"detail": "Deleted execution record"})
            refused = wire.http.delete(f"{place}/{running}")
            assert (refused.status_code, refused.json()["code"]) == (400, "execution_running")
            answer = wire.http.delete(f"{place}/all")
            assert (answer.status_code, answer.json()) == (200, {"detail": "Deleted all execution records"})
            assert [each["execution_id"] for each in wire.http.get(f"{place}/all").json()] == [running]
            assert wire.http.get(f"{place}/{running}").status_code == 405
            wire.http.post(f"{API}/executions/{running}/stop")
            wire.close()

"""Training samples over HTTP, and the files that they hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from compox_core.storage import SAMPLES
from tests.http.learner import Training
from tests.http.serving import API, Wire, error_body, hdf5_bytes, image, served, settings_for

LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?")


@pytest.fixture
def training(wire: Wire) -> Training:
    """A client of trainings."""
    return Training(wire)


def test_a_sample_is_stored_and_shown(training: Training, wire: Wire, tmp_path: Path) -> None:
    """Several groups of several files; tags stripped, lower case, each once; local time; nothing is missing."""
    files = [wire.upload(hdf5_bytes(tmp_path, image=image(n))) for n in range(4)]
    groups = [{"input": files[:2], "target": files[2:3]}, {"input": files[:1], "target": files[3:]}]
    answer = wire.http.post(f"{API}/sample", json={"files": groups, "tags": [" CT ", "ct", "", "Author:A"], "x": 1})
    assert answer.status_code == 200 and list(answer.json()) == ["sample_id"]
    body = wire.http.get(f"{API}/sample/{answer.json()['sample_id']}").json()
    assert list(body) == ["sample_id", "files", "tags", "time_created", "missing_files"]
    assert (body["files"], body["tags"], body["missing_files"]) == (groups, ["ct", "author:a"], [])
    assert LOCAL.fullmatch(body["time_created"])


def test_samples_are_listed_by_tags_in_any_case(training: Training, wire: Wire, content: bytes) -> None:
    """All of the positive tags and none of the negative ones, oldest first; none that pass are an empty list."""
    file_id = wire.upload(content)
    ids = [training.sample(file_id, tags=tags) for tags in (("red", "big"), ("RED",), ("blue",))]

    def listed(query: dict[str, Any]) -> list[str]:
        answer = wire.http.get(f"{API}/sample/all", params=query)
        assert answer.status_code == 200
        assert all(list(each) == ["sample_id", "files", "tags", "time_created"] for each in answer.json())
        return [each["sample_id"] for each in answer.json() if each["sample_id"] in ids]

    assert listed({}) == ids
    assert listed({"positive_tags": " Red "}) == ids[:2]
    assert listed({"positive_tags": ["red", "BIG"]}) == ids[:1]
    assert listed({"negative_tags": ["Big", "blue"]}) == [ids[1]]
    assert listed({"positive_tags": "red", "negative_tags": "big"}) == [ids[1]]
    assert wire.http.get(f"{API}/sample/all", params={"positive_tags": "none such"}).json() == []


def test_a_store_without_samples_says_so(tmp_path: Path) -> None:
    """404, as its clients expect; also where a filter is given."""
    with Engine(settings_for("memory", tmp_path)) as engine, served(engine) as url:
        wire = Wire(url)
        for query in ({}, {"positive_tags": "a"}):
            answer = wire.http.get(f"{API}/sample/all", params=query)
            assert (answer.status_code, answer.json()["code"]) == (404, "samples_not_found")
        wire.close()


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ({"files": []}, ["body", "files"], "at least 1"),
        ({}, ["body", "files"], "required"),
        ({"files": [{"a": ["x"]}, {"b": ["x"]}]}, ["body", "files"], "same keys"),
        ({"files": [{"a": ["x"]}, {"a": ["x"], "b": []}]}, ["body", "files"], "same keys"),
        ({"files": [{"a": "x"}]}, ["body", "files", 0, "a"], "list"),
        ({"files": [{"a": [1]}]}, ["body", "files", 0, "a", 0], "string"),
        ({"files": {"a": ["x"]}}, ["body", "files"], "array"),
        ({"files": [{"a": ["x"]}], "tags": "t"}, ["body", "tags"], "array"),
        ({"files": [{"a": ["x" * 10_001]}]}, ["body", "files", 0, "a", 0], "10000"),
    ],
)
def test_a_sample_that_is_none_is_refused_with_the_reason(wire: Wire, body: Any, place: list[Any], words: str) -> None:
    """422 with the place and words for it, where the ancestor failed."""
    answer = wire.http.post(f"{API}/sample", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")
    [issue] = answer.json()["detail"]
    assert issue["loc"] == place and words in issue["msg"].replace("valid array", "array list")


def test_a_sample_of_files_that_are_not_there_is_refused(wire: Wire, content: bytes) -> None:
    """404 with all of them named; nothing of it stays, so that the other file can be deleted."""
    file_id = wire.upload(content)
    gone = ["019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27", "../x", "\x00"]
    answer = wire.http.post(f"{API}/sample", json={"files": [{"input": [file_id, *gone]}]})
    body = error_body(answer)
    assert (answer.status_code, body["code"]) == (404, "sample_input_files_not_found")
    assert body["details"] == {"file_ids": gone}
    assert wire.http.delete(f"{API}/files/{file_id}").status_code == 200


def test_a_file_that_a_sample_uses_is_not_deleted(training: Training, wire: Wire, content: bytes) -> None:
    """409 with the samples named, by both routes; it goes when the last sample has gone."""
    file_id = wire.upload(content)
    ids = [training.sample(file_id), training.sample(file_id, file_id)]
    for path in (f"{API}/files/{file_id}", f"/api/v1/files/{file_id}"):
        answer = wire.http.delete(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "file_in_use")
        assert answer.json()["details"] == {"file_id": file_id, "sample_ids": ids}
    for sample_id in ids:
        answer = wire.http.delete(f"{API}/sample/{sample_id}")
        assert (answer.status_code, answer.json()) == (200, {"detail": "Sample deleted successfully"})
    assert wire.http.delete(f"{API}/files/{file_id}").status_code == 200


def test_a_sample_whose_file_is_gone_can_be_read_and_deleted(
    training: Training, wire: Wire, engine: Engine, content: bytes
) -> None:
    """It says which file that is; no training takes it."""
    file_id = wire.upload(content)
    sample_id = training.sample(file_id)
    engine.store.delete("data-store", next(i.key for i in engine.store.list("data-store") if file_id in i.key))
    body = wire.http.get(f"{API}/sample/{sample_id}").json()
    assert (body["files"], body["missing_files"]) == ([{"input": [file_id]}], [file_id])
    wanted = {"algorithm_id": wire.algorithm_id("double"), "training_data": [sample_id]}
    answer = wire.http.post(f"{API}/train-algorithm", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (404, "sample_files_not_found")
    assert answer.json()["details"] == {"missing_file_ids": [file_id]}
    assert wire.http.delete(f"{API}/sample/{sample_id}").status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("sample_id", ["x", "019a9f43-2b57-7d06-a1c4-9e8d3f6b7a02", "all%20"])
def test_a_sample_that_is_not_there(wire: Wire, method: str, sample_id: str) -> None:
    """404 with its id."""
    answer = wire.http.request(method, f"{API}/sample/{sample_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "sample_not_found")
    assert answer.json()["details"] == {"sample_id": sample_id.replace("%20", " ")}


def test_all_is_an_id_for_a_delete(wire: Wire) -> None:
    """As clients know it: nothing is deleted."""
    answer = wire.http.delete(f"{API}/sample/all")
    assert (answer.status_code, answer.json()["code"]) == (404, "sample_not_found")


@pytest.mark.parametrize("stored", [b"{", b"[]", b'{"sample_id": "x", "files": [], "time_created": "2026-01-01"}'])
def test_a_sample_that_cannot_be_read(
    training: Training, wire: Wire, engine: Engine, content: bytes, stored: bytes
) -> None:
    """400 with its code; lists leave it out, a training refuses it, and it can be deleted."""
    sample_id, other = training.sample(wire.upload(content)), training.sample(wire.upload(content))
    engine.store.put(SAMPLES, f"record/{sample_id}", stored)
    answer = wire.http.get(f"{API}/sample/{sample_id}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sample_record")
    ids = [each["sample_id"] for each in wire.http.get(f"{API}/sample/all").json()]
    assert other in ids and sample_id not in ids
    wanted = {"algorithm_id": wire.algorithm_id("double"), "training_data": [sample_id]}
    answer = wire.http.post(f"{API}/train-algorithm", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_sample_manifest")
    assert wire.http.delete(f"{API}/sample/{sample_id}").status_code == 200
    assert wire.http.get(f"{API}/sample/{sample_id}").status_code == 404


def test_a_body_is_taken_whatever_its_content_type(wire: Wire, content: bytes) -> None:
    """As every body of JSON here."""
    body = json.dumps({"files": [{"input": [wire.upload(content)]}]}).encode()
    for headers in ({}, {"content-type": "text/plain"}):
        assert wire.http.post(f"{API}/sample", content=body, headers=headers).status_code == 200

"""Answers beside those that compox 3 gave for the same algorithms and inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
from tests.http.learner import Training
from tests.http.serving import API, Wire, served

ARTEFACTS = Path(__file__).parents[1] / "artefacts" / "interop"
EXPORTS = {"box_mean": "box_mean_1_source.zip", "level_cut": "level_cut_2_latest.zip"}
OF_A_RUN = {"execution_id", "algorithm_id", "input_dataset_ids", "session_token", "output_dataset_ids", "log"}
OF_A_STORE = {"algorithm_id", "algorithm_minor_versions", "storage_metrics"}
MINORS = {"latest_algorithm_minor_version", "algorithm_minor_version"}


def recorded(name: str) -> Any:
    """Return what compox 3 answered."""
    return json.loads((ARTEFACTS / "records" / f"{name}.json").read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """Return the keys in their order and the types of an answer, lists by their first element."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("name", EXPORTS)
def test_an_algorithm_and_its_run_look_as_they_did(name: str) -> None:
    """The same keys in the same order, the same types, and the same values but for ids, times and sizes."""
    with Engine("memory://") as engine:
        deployed = engine.deploy(ARTEFACTS / "exports" / EXPORTS[name]).record
        with served(engine) as url:
            wire = Wire(url)
            [listed] = wire.http.get(f"{API}/algorithm/all").json()
            shown = wire.http.get(f"{API}/algorithm/{name.upper()}/{deployed.major}").json()
            ids = [wire.upload((ARTEFACTS / "data" / f"input_image_{n}.h5").read_bytes()) for n in range(3)]
            old_run = recorded(f"execution_{name}")
            body = {**old_run, "algorithm_id": deployed.algorithm_id, "input_dataset_ids": ids, "session_token": ""}
            answer = wire.http.post(f"{API}/execute-algorithm", json=body)
            run = wire.finish(answer.json()["execution_id"])
            wire.close()
    old = next(item for item in recorded("algorithm_all") if item["algorithm_name"] == name)
    assert list(answer.json()) == ["execution_id"]
    timestamp = listed.pop("timestamp")  # new, and last
    assert timestamp.endswith("+00:00") and shape(listed) == shape(old)
    assert {key: listed[key] for key in old.keys() - OF_A_STORE - MINORS} == {
        key: old[key] for key in old.keys() - OF_A_STORE - MINORS
    }
    assert shown.pop("timestamp") == timestamp and shown.keys() == listed.keys()
    assert (run.pop("error"), run.pop("stopped_by"), run.pop("attempt")) == (None, None, 1)  # new, and last
    times = {"time_started", "time_completed"}
    assert list(run) == list(old_run) and shape(run | {"additional_parameters": 0}) == shape(
        old_run | {"additional_parameters": 0}
    )
    assert {key: run[key] for key in run.keys() - OF_A_RUN - times - {"additional_parameters"}} == {
        key: old_run[key] for key in run.keys() - OF_A_RUN - times - {"additional_parameters"}
    }
    assert old_run["additional_parameters"].items() <= run["additional_parameters"].items()  # and declared defaults
    assert len(run["output_dataset_ids"]) == 3 and run["session_token"]


def test_samples_trainings_and_checkpoints_look_as_they_did() -> None:
    """The ancestor's trainable algorithm, trained twice: the same keys in the same order, and the same types."""
    with Engine("memory://") as engine:
        deployed = engine.deploy(ARTEFACTS / "algorithms" / "level_cut").record
        with served(engine) as url:
            wire = Wire(url)
            data = ARTEFACTS / "data"
            inputs, targets = (
                [wire.upload((data / f"{name}_{n}.h5").read_bytes()) for n in range(3)]
                for name in ("input_image", "level_cut")
            )
            sample = {"files": [{"input": inputs, "target": targets}], "tags": ["modality:CT ", "Author:A"]}
            sample_id = wire.http.post(f"{API}/sample", json=sample).json()["sample_id"]
            training = Training(wire)
            wanted = recorded("training") | {"algorithm_id": deployed.algorithm_id, "training_data": [sample_id]}
            checkpoint: str | None = None
            for tag in ("experiment:1", "experiment:2"):
                body = wanted | {"checkpoint_id": checkpoint, "tags": [tag]}
                answer = wire.http.post(f"{API}/train-algorithm", json=body)
                assert list(answer.json()) == ["training_id"]
                second = training.finish(answer.json()["training_id"])
                checkpoint = second["output_checkpoint_ids"][-1]
            samples = wire.http.get(f"{API}/sample/all").json()
            checkpoints = wire.http.get(f"{API}/checkpoint/all").json()
            before = recorded("execution_level_cut_checkpoint")
            body = before | {
                "algorithm_id": deployed.algorithm_id, "input_dataset_ids": inputs, "checkpoint_id": checkpoint,
                "session_token": "",
            }  # fmt: skip
            run = wire.finish(wire.http.post(f"{API}/execute-algorithm", json=body).json()["execution_id"])
            wire.close()
    assert shape(samples) == shape(recorded("sample_all")) and samples[0]["tags"] == ["modality:ct", "author:a"]
    old = recorded("training")
    news = ("error", "stopped_by", "attempt", "resolved_execution_device")
    assert [second.pop(key) for key in news] == [None, None, 1, "cpu"]
    loose = {"additional_parameters": {}}  # null then, filled in now
    assert shape(second | loose) == shape(old | loose) and list(second) == list(old)
    same = ("status", "progress", "tags", "algorithm_minor_version")
    assert {key: second[key] for key in same} == {key: old[key] for key in same}
    assert second["state"].keys() == old["state"].keys() and second["state"]["step"] == 1
    parents = {each.pop("algorithm_minor_version") for each in checkpoints}  # new, as the last two
    assert parents == {"3"} and all(list(each.pop("assets")) == ["files/level.json"] for each in checkpoints)
    theirs = recorded("checkpoint_all")
    for ours, then in zip(checkpoints, theirs, strict=True):
        assert shape(ours) == shape(then)
        assert (ours["tags"], ours["properties"]["step"]) == (then["tags"], then["properties"]["step"])
    assert [each["parent_checkpoint_id"] for each in checkpoints[2:]] == [checkpoints[1]["checkpoint_id"]] * 2
    assert [key for key in run if key in before] == list(before) and run["status"] == before["status"]

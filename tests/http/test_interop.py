"""Answers beside those that compox 3 gave for the same algorithms and inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compox_core.engine import Engine
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

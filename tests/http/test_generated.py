"""Requests that a program makes up from what the server says of its own interface."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from openapi_spec_validator import validate

from compox_core.engine import Engine
from tests.http.learner import Training, deploy_learner
from tests.http.serving import (
    API,
    DOUBLE,
    FACTOR,
    Wire,
    deploy_all,
    hdf5_bytes,
    image,
    served,
    settings_for,
    write_algorithm,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SPARE = 6  # of each kind of thing that requests use up

CONFIG = """
seed = 7
continue-on-failure = true
hooks = "tests.http.generated_bodies"
request-timeout = 60

[generation]
max-examples = 10
database = "none"

[phases]
stateful.enabled = false
# What was answered is used for no further request: else each run is another one.
coverage.extra-data-sources.responses = false
fuzzing.extra-data-sources.responses = false
fuzzing.error-feedback.enabled = false

# A body of many long texts is too large before anybody looks at them (413).
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]

[checks.positive_data_acceptance]
enabled = false  # which files, paths and ids it takes, no schema can say

# Among the ids of /deploy/{deploy_id} and the like are the names of these.
[[operations]]
include-path-regex = "/deploy/local|/(sample|checkpoint)/all"
checks.allow_header_conformance.enabled = false

# A number that is null is as good as none.
[[operations]]
include-operation-id = "export_algorithm"
checks.negative_data_rejection.enabled = false
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with algorithms that the server may deploy."""
    root = tmp_path_factory.mktemp("generated")
    for name in ("local", "other"):
        write_algorithm(root / "more" / name, name, DOUBLE, extra=FACTOR)
    return root


@pytest.fixture(scope="module")
def wire(root: Path) -> Iterator[Wire]:
    """A connection to a server with the test algorithms."""
    settings = settings_for("memory", root)
    settings["inference"]["backend_settings"]["worker_number"] = 3 * SPARE  # so many never end unless they are stopped
    settings["deploy"] = {"allowed_roots": [str(root / "more")]}
    with Engine(settings) as engine:
        deploy_all(engine, root / "algorithms")
        deploy_learner(engine, root / "algorithms")
        with served(engine) as url:
            wire = Wire(url)
            yield wire
            wire.close()


@pytest.fixture(scope="module")
def document(wire: Wire) -> Any:
    """What the server says of its interface."""
    return wire.http.get("/openapi.json").json()


@dataclass(frozen=True)
class Run:
    """What schemathesis said, and the statuses that the server answered with, by operation."""

    failed: bool
    said: str
    statuses: dict[str, set[int]]


@pytest.fixture(scope="module")
def run(wire: Wire, root: Path, document: Any) -> Run:
    """Thousands of requests, right ones and wrong ones, to every operation."""
    config = root / "schemathesis.toml"
    config.write_text(CONFIG + known_values(wire, root), encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
    command += ["run", f"{wire.url}/openapi.json", "--report-har-path", str(root / "har.json"), "--no-color"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "NO_PROXY": "*"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, encoding="utf-8")
    har = json.loads((root / "har.json").read_text(encoding="utf-8"))
    return Run(done.returncode != 0, done.stdout + done.stderr, statuses_in(har, list(document["paths"])))


def known_values(wire: Wire, root: Path) -> str:
    """Return the part of the configuration that tells of things that the server has."""
    file_ids = [wire.upload(hdf5_bytes(root, image=image(number))) for number in range(3 * SPARE)]
    ended = [wire.execute(name, file_ids[:1]) for name in ("double", "broken")]
    for execution_id in ended:
        wire.finish(execution_id)
    algorithms = [wire.algorithm_id(name) for name in ("double", "broken", "measured")]
    benchmark = wire.http.post(f"{API}/benchmark-algorithm", json={"algorithm_id": algorithms[2]}).json()
    deploy = wire.http.post(f"{API}/deploy/local-async", params={"path": str(root / "more" / "local")}).json()
    training = Training(wire)
    sample = training.sample(file_ids[0])
    trained = [training.submit([sample], tags=["made"]) for _ in range(SPARE)]
    checkpoints = [training.finish(each)["output_checkpoint_ids"] for each in trained]
    waiting = {"wait_at": 0, "gate": str(root / "none")}
    everywhere = {
        "path.file_id": file_ids[:SPARE],
        "path.object_name": file_ids[:SPARE],
        "path.execution_id": ended,
        "path.benchmark_id": [benchmark["benchmark_id"]],
        "path.deploy_id": [deploy["deploy_id"]],
        "path.sample_id": [sample],
        "path.training_id": trained,
        "path.checkpoint_id": [each[0] for each in checkpoints],
        "path.name": ["double", "Broken", "measured", "learner"],
        "path.major": ["1"],
        "query.path": [str(root / "more" / "other"), str(root / "more"), str(root)],
        "body.algorithm_id": algorithms,
        "body.input_dataset_ids[*]": file_ids[:SPARE],
        "body.training_data[*]": [sample],
    }
    only = {
        "delete_file": {"path.file_id": file_ids[SPARE : 2 * SPARE]},
        "delete_named_file": {"path.object_name": file_ids[2 * SPARE :]},
        "stop_execution": {"path.execution_id": [wire.execute("endless", file_ids[:1]) for _ in range(SPARE)]},
        "stop_training": {
            "path.training_id": [training.submit([sample], additional_parameters=waiting) for _ in range(SPARE)]
        },
        "train_algorithm": {"body.algorithm_id": [wire.algorithm_id("learner")]},
        "delete_sample": {"path.sample_id": [training.sample(file_ids[0]) for _ in range(SPARE)]},
        "delete_checkpoint": {"path.checkpoint_id": [each[1] for each in checkpoints]},
        "export_algorithm": {"path.name": ["double", "learner"]},
        "remove_algorithm": {"path.algorithm_id": [removable(wire, root, f"spare{n}") for n in range(SPARE)]},
        "submit_execution_once": {"path.execution_id": [f"client-{number}" for number in range(SPARE)]},
        "get_upload_url": {"path.object_name": ["sample-1.h5", "sample-2.h5"]},
        "put_file": signed(wire, "sample-3.h5", "upload"),
        "get_file_content": signed(wire, file_ids[0], "download"),
        "get_file_content_head": signed(wire, file_ids[0], "download"),
    }
    lines = ["[parameters]", *bindings("all", everywhere)]
    for operation, values in only.items():
        lines += ["[[operations]]", f'include-operation-id = "{operation}"', "[operations.parameters]"]
        lines += bindings(operation, values)
    for place, values in {"all": everywhere, **only}.items():
        for parameter, known in values.items():
            lines += [f"[dictionaries.{dictionary(place, parameter)}]", f"values = {json.dumps(known)}"]
    return "\n".join(lines)


def bindings(place: str, values: dict[str, list[str]]) -> list[str]:
    """Return lines that have most of the values of parameters taken from what is known."""
    return [f'"{each}" = {{ dictionary = "{dictionary(place, each)}", probability = 0.8 }}' for each in values]


def dictionary(place: str, parameter: str) -> str:
    """Return the name of what is known of a parameter."""
    return f"{place}-{re.sub('[^a-z]', '-', parameter)}"


def removable(wire: Wire, root: Path, name: str) -> str:
    """Return the id of an algorithm that may be removed."""
    folder = write_algorithm(root / "more" / name, name, DOUBLE)
    answer = wire.http.post(f"{API}/deploy/local", params={"path": str(folder), "removable": "true"})
    return str(answer.json()["algorithm_id"])


def signed(wire: Wire, name: str, what: str) -> dict[str, list[str]]:
    """Return the parts of a signed URL."""
    url = wire.http.get(f"/api/v1/files/{name}/{what}-url").json()["url"]
    return {"path.object_name": [name], **{f"query.{k}": v for k, v in parse_qs(urlsplit(url).query).items()}}


def statuses_in(har: Any, templates: list[str]) -> dict[str, set[int]]:
    """Return the statuses by method and path, as the interface names it."""
    templates.sort(key=lambda template: template.count("{"))
    patterns = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), template) for template in templates]
    statuses: dict[str, set[int]] = defaultdict(set)
    for entry in har["log"]["entries"]:
        path = urlsplit(entry["request"]["url"]).path
        template = next((template for pattern, template in patterns if pattern.fullmatch(path)), None)
        statuses[f"{entry['request']['method']} {template}"].add(entry["response"]["status"])
    return statuses


def test_the_interface_is_described_as_openapi_says(document: Any) -> None:
    """The document is valid."""
    validate(document)


def test_every_answer_is_one_that_is_described(run: Run) -> None:
    """No failure of the server; no status, content type or body that the document does not have; what the document
    does not allow is refused; wrong methods are told which are right."""
    assert not run.failed, run.said


def test_every_operation_was_reached(run: Run, document: Any) -> None:
    """Each was asked for something that it can do."""
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert operations <= set(run.statuses)
    assert [each for each in operations if not any(status < 300 for status in run.statuses[each])] == []

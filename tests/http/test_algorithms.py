"""Algorithms over HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from compox_core.engine import Engine
from tests.http.serving import API, DOUBLE, Wire, served, settings_for, write_algorithm

KEYS = [
    "algorithm_id", "algorithm_name", "algorithm_version", "algorithm_minor_versions",
    "latest_algorithm_minor_version", "algorithm_minor_version", "algorithm_type", "algorithm_tags",
    "algorithm_description", "supported_devices", "default_device", "additional_parameters", "training_parameters",
    "benchmark_outputs", "removable", "exportable", "storage_metrics", "timestamp",
]  # fmt: skip
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def test_an_algorithm_is_shown_as_clients_know_it(wire: Wire) -> None:
    """Every field, with names and types as they always were."""
    body = wire.http.get(f"{API}/algorithm/double/1").json()
    assert list(body) == KEYS
    assert (body["algorithm_name"], body["algorithm_version"]) == ("double", "1")
    assert body["algorithm_minor_versions"] == ["0"]
    assert body["latest_algorithm_minor_version"] == body["algorithm_minor_version"] == "0"
    assert body["algorithm_type"] == "Image2Image" and body["algorithm_tags"] == ["scale", "Fast"]
    assert (body["supported_devices"], body["default_device"]) == (["cpu", "gpu"], "cpu")
    assert body["additional_parameters"] == [
        {
            "name": "factor",
            "displayed_name": "Factor",
            "description": "Multiplies.",
            "config": {
                "type": "float_range", "default": 2.0, "adjustable": False, "options": [], "min": 0.0, "max": 9.0,
                "step": 0.5, "decimal_precision": None,
            },
        }
    ]  # fmt: skip
    assert body["training_parameters"] == body["benchmark_outputs"] == []
    assert (body["removable"], body["exportable"]) == (False, True)
    assert list(body["storage_metrics"]) == [
        "logical_size_bytes", "module_bytes", "asset_bytes", "checkpoint_manifest_bytes", "module_count",
        "asset_count", "checkpoint_count", "last_recomputed_at",
    ]  # fmt: skip
    assert UTC_TIME.fullmatch(body["storage_metrics"]["last_recomputed_at"])


def test_the_name_is_found_in_any_case(wire: Wire) -> None:
    """Look-up does not depend on case."""
    assert wire.http.get(f"{API}/algorithm/DOUBLE/1").json()["algorithm_name"] == "double"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["broken", "double", "endless", "measured"]),
        ({"positive_tag": "scale"}, ["broken", "double"]),
        ({"positive_tag": ["scale", "Fast"]}, ["double"]),
        ({"positive_tag": "fast"}, []),
        ({"negative_tag": ["Fast", "own"]}, ["broken", "endless"]),
        ({"algorithm_type": "image2IMAGE"}, ["broken", "double"]),
        ({"supported_devices": "GPU"}, ["double"]),
        ({"supported_devices": ["gpu", "cpu"]}, ["broken", "double", "endless", "measured"]),
        ({"positive_tag": "scale", "negative_tag": "Fast", "algorithm_type": "Image2Image"}, ["broken"]),
        ({"unknown": "ignored"}, ["broken", "double", "endless", "measured"]),
        ({"positive_tag": ""}, []),
        ({"algorithm_type": ["Image2Image", "Generic"]}, None),
    ],
)
def test_filters_are_anded(wire: Wire, query: dict[str, str | Sequence[str]], names: list[str] | None) -> None:
    """Four filters; what nothing passes is an empty list."""
    answer = wire.http.get(f"{API}/algorithm/all", params=query)
    assert answer.status_code == 200
    if names is not None:
        assert [body["algorithm_name"] for body in answer.json()] == names


def test_what_is_not_there_is_404(wire: Wire) -> None:
    """Name and major are told."""
    for name, major in (("nobody", "1"), ("double", "9"), ("double", "x"), ("all", "1"), ("ü ✓", "1")):
        answer = wire.http.get(f"{API}/algorithm/{name}/{major}")
        assert (answer.status_code, answer.json()["code"]) == (404, "algorithm_not_found")
        assert answer.json()["details"] == {"algorithm_name": name, "algorithm_major_version": major}


def test_an_empty_store_is_404() -> None:
    """Odd, and what clients expect."""
    with Engine("memory://") as engine, served(engine) as url:
        wire = Wire(url)
        for query in ({}, {"positive_tag": "x"}):
            answer = wire.http.get(f"{API}/algorithm/all", params=query)
            assert (answer.status_code, answer.json()["code"]) == (404, "no_algorithms_found")
        wire.close()


def test_a_deploy_by_another_process_is_seen_at_the_next_request(tmp_path: Path) -> None:
    """Nothing is remembered that another process can change."""
    folder = write_algorithm(tmp_path / "late", "late", DOUBLE, extra="additional_parameters = []")
    script = "import sys; from compox_core.engine import Engine\nwith Engine(sys.argv[1]) as e: e.deploy(sys.argv[2])"
    with Engine(settings_for("local", tmp_path / "store")) as engine, served(engine) as url:
        wire = Wire(url)
        assert wire.http.get(f"{API}/algorithm/late/1").status_code == 404
        for minor in ("0", "1"):
            subprocess.run([sys.executable, "-c", script, str(tmp_path / "store"), str(folder)], check=True)
            assert wire.http.get(f"{API}/algorithm/late/1").json()["latest_algorithm_minor_version"] == minor
            (folder / "data.txt").write_text("changed")
        [body] = wire.http.get(f"{API}/algorithm/all").json()
        assert body["algorithm_minor_versions"] == ["0", "1"]
        wire.close()

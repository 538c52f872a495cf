"""Benchmarks over HTTP."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.http.serving import API, Wire

KEYS = [
    "benchmark_id", "algorithm_id", "additional_parameters", "status", "time_started", "time_completed", "log", "data",
    "progress", "error",
]  # fmt: skip


def finished(wire: Wire, name: str, **fields: Any) -> dict[str, Any]:
    """Submit a benchmark and poll until it has ended."""
    answer = wire.http.post(f"{API}/benchmark-algorithm", json={"algorithm_id": wire.algorithm_id(name), **fields})
    assert answer.status_code == 200 and list(answer.json()) == ["benchmark_id"]
    for _ in range(2000):
        body: dict[str, Any] = wire.http.get(f"{API}/benchmarks/{answer.json()['benchmark_id']}").json()
        assert body["status"] in ("PENDING", "STARTED", "COMPLETED", "FAILED"), "never RUNNING, as clients know it"
        assert body["status"] != "COMPLETED" or body["data"], "COMPLETED is never seen without what was measured"
        if body["status"] in ("COMPLETED", "FAILED"):
            return body
        time.sleep(0.002)
    raise AssertionError(body)


def test_a_benchmark_gives_what_the_algorithm_measured(wire: Wire) -> None:
    """Every key that clients know."""
    body = finished(wire, "measured", unknown_key=1)
    assert list(body) == KEYS
    assert (body["status"], body["data"]) == ("COMPLETED", {"seconds": 0.25, "sizes": [1, 2]})
    assert "measuring" in body["log"] and body["time_completed"]


def test_an_algorithm_that_measures_nothing_fails(wire: Wire) -> None:
    """FAILED, with the reason in the record."""
    body = finished(wire, "double", additional_parameters=None)
    assert (body["status"], body["data"], body["error"]["code"]) == ("FAILED", {}, "runner_hook_missing")


def test_an_unknown_algorithm_is_404(wire: Wire) -> None:
    """In the shape of every other error."""
    answer = wire.http.post(f"{API}/benchmark-algorithm", json={"algorithm_id": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "algorithm_not_found")
    assert answer.json()["details"] == {"algorithm_id": "x"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"algorithm_id": 3}', b"\xff"])
def test_what_is_no_request_is_422(wire: Wire, body: bytes) -> None:
    """A list of what is wrong."""
    answer = wire.http.post(f"{API}/benchmark-algorithm", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_validation_error")
    assert isinstance(answer.json()["detail"], list)


def test_an_unknown_benchmark_is_404(wire: Wire) -> None:
    """With its id."""
    answer = wire.http.get(f"{API}/benchmarks/x")
    assert (answer.status_code, answer.json()["code"]) == (404, "benchmark_record_not_found")
    assert answer.json()["details"] == {"benchmark_id": "x"}

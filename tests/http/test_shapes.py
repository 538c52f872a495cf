"""Times and logs as the wire has them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_type_hints

import pytest

from compox_http.client.readings import read_algorithm, read_execution
from compox_http.shapes import (
    Algorithm,
    AlgorithmParameter,
    Execution,
    ParameterRules,
)
from compox_http.shaping import local_log, local_text, utc_text


@pytest.fixture(params=["UTC0", "XYZ-3:30", "CET-1CEST,M3.5.0,M10.5.0/3"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Local time is somewhere else."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its time zone")
    from compox_http import shaping

    shaping._local_stamp.cache_clear()
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()
    shaping._local_stamp.cache_clear()


def test_local_times_are_those_of_python(zone: str) -> None:
    """As `str(datetime.now())` writes them: no zone, and no fraction where it is exactly 0."""
    moment = datetime(2026, 7, 20, 23, 30, 36, 120, tzinfo=UTC)
    expected = {"UTC0": "2026-07-20 23:30:36", "XYZ-3:30": "2026-07-21 03:00:36"}.get(zone, "2026-07-21 01:30:36")
    assert local_text(moment) == f"{expected}.000120"
    assert local_text(moment.replace(microsecond=0)) == expected
    assert local_log("2026-07-20T23:30:36Z INFO x\n") == f"{expected} INFO x\n"


def test_utc_times_have_whole_seconds() -> None:
    """`T` and `+00:00`."""
    assert utc_text(datetime(2026, 11, 20, 23, 30, 36, 999, tzinfo=UTC)) == "2026-11-20T23:30:36+00:00"


def test_only_stamps_at_the_start_of_a_line_change() -> None:
    """What a message says stays."""
    log = "plain\n2026-99-99T99:99:99Z INFO odd\nat 2026-07-20T23:30:36Z it was\n"
    assert local_log(log) == log
    assert local_log("") == ""


def test_records_have_the_keys_that_clients_know() -> None:
    """Every key that compox 3 answered with, in its order; what is new comes after."""
    records = Path(__file__).parents[1] / "artefacts" / "interop" / "records"
    run = json.loads((records / "execution_level_cut.json").read_text(encoding="utf-8"))
    assert list(get_type_hints(Execution)) == [*run, "error", "stopped_by", "attempt"]
    known = json.loads((records / "algorithm_all.json").read_text(encoding="utf-8"))[0]
    assert list(get_type_hints(Algorithm)) == [*known, "timestamp"]
    rules = known["additional_parameters"][0]
    assert list(get_type_hints(AlgorithmParameter)) == list(rules)
    assert list(get_type_hints(ParameterRules)) == list(rules["config"])


def test_what_compox_3_answered_is_read_by_our_client() -> None:
    """A client of ours understands its records."""
    records = Path(__file__).parents[1] / "artefacts" / "interop" / "records"
    for body in json.loads((records / "algorithm_all.json").read_text(encoding="utf-8")):
        record = read_algorithm(body)
        assert (record.name, record.major) == (body["algorithm_name"], body["algorithm_version"])
    for path in records.glob("execution_*.json"):
        body = json.loads(path.read_text(encoding="utf-8"))
        assert read_execution(body).output_dataset_ids == body["output_dataset_ids"]

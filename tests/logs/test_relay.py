"""Records that another process logged."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from compox_core.logs import belonging, facts_of, log_relayed, task_lines


def test_what_a_record_says_survives_the_way(caplog: pytest.LogCaptureFixture) -> None:
    """Its place, its task and its algorithm."""
    sent = logging.LogRecord("compox.task", logging.INFO, "/x/place.py", 7, "said", None, None, "run")
    with task_lines("t1", "double 1.0"):
        facts = json.loads(json.dumps(facts_of(sent)))
    with caplog.at_level(logging.INFO):
        log_relayed("compox.task", logging.INFO, "100 % said", facts)
    [record] = caplog.records
    assert (record.module, record.funcName, record.lineno) == ("place", "run", 7)
    assert (record.getMessage(), belonging(record)) == ("100 % said", (None, "t1", "double 1.0"))


@pytest.mark.parametrize(
    "facts", [{}, {"lineno": "x", "module": None, "task_id": 7}, {"msg": "forged", "exc_info": 1}, {"algorithm": []}]
)
def test_facts_that_are_none_are_left_out(facts: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A worker process runs code of others."""
    with caplog.at_level(logging.INFO):
        log_relayed("compox.task", logging.INFO, "said", facts)
    [record] = caplog.records
    assert record.getMessage() == "said" and not record.exc_info and isinstance(record.lineno, int)
    assert belonging(record) == (None, None, None)


def test_what_nobody_wants_to_see_is_not_made(caplog: pytest.LogCaptureFixture) -> None:
    """The level counts here as well."""
    with caplog.at_level(logging.WARNING):
        log_relayed("compox.task", logging.INFO, "said", {})
    assert caplog.records == []

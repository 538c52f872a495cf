"""What a line of the log looks like."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.logs import set_request, shown, task_lines
from compox_core.logs.kinds import kind_of
from compox_core.logs.levels import name_levels
from compox_core.logs.lines import JsonLines, TextLines


def record(message: str = "said", *args: Any, name: str = "compox_core.storage.s3", **more: Any) -> logging.LogRecord:
    """Return a record of line 7 of `run` in the module `place`."""
    made = logging.LogRecord(name, logging.INFO, "/somewhere/place.py", 7, message, args, None, "run")
    made.__dict__.update(more)
    return made


def test_a_line_of_text_has_time_type_level_place_and_message() -> None:
    """In the columns that people cut logs by."""
    line = TextLines().format(record("%d of %s", 3, "them"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d at \d\d:\d\d:\d\d \| DB       \| INFO    \| place:run:7 - 3 of them", line)


def test_a_line_of_a_task_says_which_and_of_what_algorithm() -> None:
    """Once: what the message itself says of them is left out."""
    mine = record("[%s] %s: %s", "t1", "double 1.0", "halfway", task_id="t1", algorithm="double 1.0")
    line = TextLines().format(mine)
    assert line.endswith("| double 1.0 place:run:7 - [task t1] halfway")


def test_lines_of_a_context_carry_its_task_and_request() -> None:
    """Whoever logs them."""
    set_request("r1")
    try:
        with task_lines("t1"):
            assert TextLines().format(record()).endswith("place:run:7 - [task t1] [req r1] said")
            with task_lines("t1", "double 1.0"):
                assert " double 1.0 place" in TextLines().format(record())
                other = TextLines().format(record(task_id="t2"))
                assert "[task t2]" in other and "double" not in other
        assert TextLines().format(record()).endswith("place:run:7 - [req r1] said")
    finally:
        set_request(None)
    assert TextLines().format(record()).endswith("place:run:7 - said")


def test_a_traceback_follows_indented() -> None:
    """So that a line that begins at the margin is always a record."""
    try:
        raise ValueError("one\ntwo")
    except ValueError as error:
        line = TextLines().format(record(exc_info=(type(error), error, error.__traceback__)))
    first, *others = line.split("\n")
    assert first.endswith("said") and others[0] == "    Traceback (most recent call last):"
    assert others[-2:] == ["    ValueError: one", "    two"]
    assert all(other.startswith("    ") for other in others)


@given(st.text())
def test_no_message_forges_a_line_or_commands_a_terminal(text: str) -> None:
    """Whatever a client or an algorithm puts into it."""
    first, *others = TextLines().format(record("%s", text)).split("\n")
    assert all(other.startswith("    ") for other in others)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", first + "".join(others))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b", "a b"), ("a\r\nb", "a\\r\\nb"), ("\x1b[2J", "\\x1b[2J"), ("ü\u2028", "ü\\u2028"), ("\x85", "\\x85")],
)
def test_what_a_client_sent_is_shown_on_one_line(text: str, expected: str) -> None:
    """With escapes for what would break it."""
    assert shown(text) == expected


def test_a_line_of_json_has_every_fact() -> None:
    """Those that are not known are null."""
    set_request("r1")
    try:
        raise KeyError("x")
    except KeyError as error:
        made = record("a\nb", task_id="t1", algorithm="double 1.0", exc_info=(type(error), error, None))
        line = JsonLines().format(made)
    finally:
        set_request(None)
    values = json.loads(line)
    assert "\n" not in line and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", values.pop("time"))
    assert values == {
        "level": "INFO",
        "type": "DB",
        "logger": "compox_core.storage.s3",
        "place": "place:run:7",
        "message": "a\nb",
        "request_id": "r1",
        "task_id": "t1",
        "algorithm": "double 1.0",
        "exception": "KeyError: 'x'",
    }
    bare = json.loads(JsonLines().format(record()))
    assert [bare[key] for key in ("request_id", "task_id", "algorithm", "exception")] == [None] * 4


@pytest.mark.parametrize("lines", [TextLines, JsonLines])
def test_secrets_are_masked(lines: type[TextLines] | type[JsonLines]) -> None:
    """In the message and in the traceback."""
    try:
        raise ValueError("with hush-hush in it")
    except ValueError as error:
        made = record("key %s", "hush-hush", exc_info=(type(error), error, error.__traceback__))
    line = lines(["hush-hush"]).format(made)
    assert "hush-hush" not in line.replace('ValueError("with hush-hush in it")', "") and line.count("***") >= 2


def test_arguments_that_do_not_fit_are_shown_as_they_are() -> None:
    """A line is worth more than none."""
    assert TextLines().format(record("%d", "three")).endswith("- '%d' ('three',)")


def test_colours_are_of_the_level_alone() -> None:
    """And only where they are asked for."""
    name_levels()
    made = record(levelname="SUCCESS")
    assert "\x1b[32mSUCCESS\x1b[0m |" in TextLines(colour=True).format(made)
    assert "\x1b" not in TextLines().format(made)


@pytest.mark.parametrize(
    ("logger", "kind"),
    [
        ("compox.task", "TASK"),
        ("compox_core.jobs.reconcile", "TASK"),
        ("compox_core.jobs.celery_worker", "CELERY"),
        ("compox_core.minio", "MINIO"),
        ("compox_core.minio.console", "MINIO"),
        ("compox_core.storage.s3", "DB"),
        ("compox_core.algorithms.publishing", "DEPLOYER"),
        ("compox_core.algorithms.exporting", "EXPORTER"),
        ("compox_core.algorithms.removal", "ALGORITHM MANAGER"),
        ("uvicorn.error", "UVICORN"),
        ("compox_http.access", "UVICORN"),
        ("celery.worker.strategy", "CELERY"),
        ("compox_core", "DEFAULT"),
        ("some.library", "DEFAULT"),
        ("", "DEFAULT"),
    ],
)
def test_the_type_follows_from_the_logger(logger: str, kind: str) -> None:
    """The longest name that fits decides."""
    assert kind_of(logger) == kind

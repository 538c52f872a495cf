"""`key=value` as people type it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.engine.parameter_text import parse_parameters
from compox_core.errors import InvalidInputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON)
def test_a_value_that_is_json_is_read_as_json(value: Any) -> None:
    """Whatever a program can say in JSON arrives as it is."""
    assert parse_parameters([f"key={json.dumps(value)}"]) == {"key": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("otsu", "otsu"), ("", ""), ("a=b", "a=b"), (" two words ", " two words "), ("1,2", "1,2"), ("True", "True"),
        ("NaN", "NaN"), ("-Infinity", "-Infinity"), ("[1, NaN]", "[1, NaN]"), ("{", "{"), ('"7"', "7"), ("1e-3", 0.001),
    ],
)  # fmt: skip
def test_a_value_that_is_no_json_is_text(text: str, value: object) -> None:
    """It is taken as it stands, with everything after the first `=`."""
    assert parse_parameters([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("wrong", ["", "=", "=1", "key", "  =1"])
def test_an_entry_without_key_or_value_is_refused(wrong: str) -> None:
    """The message shows the entry and how to write it."""
    with pytest.raises(InvalidInputError, match="write key=value") as caught:
        parse_parameters([wrong])
    assert caught.value.details == {"assignment": wrong}


def test_a_key_that_comes_twice_is_refused() -> None:
    """Nobody has to guess which one counts."""
    with pytest.raises(InvalidInputError, match="twice"):
        parse_parameters(["a=1", "b=1", "a=2"])

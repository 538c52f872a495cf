"""What a client may submit for declared parameters."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.algorithms.parameters import check_arguments
from compox_core.errors import ParameterError
from compox_core.records import Parameter, ParameterConfig


def declare(kind: str, **config: Any) -> Parameter:
    return Parameter(name="p", config=ParameterConfig(type=kind, **config))  # type: ignore[arg-type]


def check(parameter: Parameter, value: Any) -> Any:
    return check_arguments([parameter], {"p": value})["p"]


INT_RANGE = declare("int_range", default=3, min=1, max=9, step=2)
FLOAT_RANGE = declare("float_range", default=0.1, min=0.0, max=1.0, step=0.05, decimal_precision=2)
STRING_ENUM = declare("string_enum", default="otsu", options=["otsu", "li"])
INT_ENUM = declare("int_enum", default=3, options=[3, 5])
FLOAT_ENUM = declare("float_enum", default=0.5, options=[0.5, 2.0])

ACCEPTED: list[tuple[Parameter, Any, Any]] = [
    (declare("string"), "", ""),
    (declare("string"), np.str_("a"), "a"),
    (declare("int"), -7, -7),
    (declare("int"), 10**30, 10**30),
    (declare("int"), np.int16(5), 5),
    (declare("int"), np.array(5), 5),
    (declare("float"), 0.5, 0.5),
    (declare("float"), 1, 1.0),
    (declare("float"), np.float32(0.5), 0.5),
    (declare("float"), np.uint8(3), 3.0),
    (declare("float"), Fraction(1, 4), 0.25),
    (declare("bool"), True, True),
    (declare("bool"), np.bool_(False), False),
    (INT_RANGE, 1, 1),
    (INT_RANGE, 9, 9),
    (INT_RANGE, 2, 2),
    (FLOAT_RANGE, 0, 0.0),
    (FLOAT_RANGE, 1, 1.0),
    (FLOAT_RANGE, 0.1234567, 0.1234567),
    (STRING_ENUM, "li", "li"),
    (INT_ENUM, 5, 5),
    (FLOAT_ENUM, 2, 2.0),
    (declare("string_list"), ["a", "b"], ["a", "b"]),
    (declare("string_list"), [], []),
    (declare("string_list"), ("a",), ["a"]),
    (declare("int_list"), np.arange(3), [0, 1, 2]),
    (declare("int_list"), [np.int8(1), 2], [1, 2]),
    (declare("float_list"), [1, 2.5], [1.0, 2.5]),
    (declare("bool_list"), [True, False], [True, False]),
    (declare("string_list", options=["a", "b"]), ["b", "a", "b"], ["b", "a", "b"]),
    (declare("int_list", options=[[1, 2], [3]]), [1, 2], [1, 2]),
    (declare("int_list", options=[[1, 2], [3]]), [3, 1], [3, 1]),
    (declare("int_list", options=[1, 2], default=[9]), [9], [9]),
    (declare("int_range", default=20, min=1, max=9, step=2), 20, 20),
]


@pytest.mark.parametrize(("parameter", "value", "expected"), ACCEPTED)
def test_what_fits(parameter: Parameter, value: Any, expected: Any) -> None:
    """A value that fits arrives as the plain Python value of the declared type."""
    got = check(parameter, value)
    assert got == expected
    assert type(got) is type(expected)
    if isinstance(expected, list):
        assert [type(item) for item in got] == [type(item) for item in expected]


REFUSED: list[tuple[Parameter, Any, str]] = [
    (declare("string"), 1, "must be a string"),
    (declare("string"), b"a", "must be a string"),
    (declare("int"), "1", "must be an integer"),
    (declare("int"), 1.0, "must be an integer"),
    (declare("int"), True, "must be an integer"),
    (declare("int"), np.float64(1), "must be an integer"),
    (declare("int"), [1], "must be an integer"),
    (declare("int"), np.array([1]), "must be an integer"),
    (declare("float"), "0.5", "must be a finite number"),
    (declare("float"), True, "must be a finite number"),
    (declare("float"), math.nan, "must be a finite number"),
    (declare("float"), -math.inf, "must be a finite number"),
    (declare("float"), 10**400, "must be a finite number"),
    (declare("float"), 1j, "must be a finite number"),
    (declare("float"), np.float32("nan"), "must be a finite number"),
    (declare("float"), np.datetime64(1, "ns"), "must be a finite number"),
    (declare("bool"), 1, "must be true or false"),
    (declare("bool"), "true", "must be true or false"),
    (INT_RANGE, 0, "must be from 1 to 9"),
    (INT_RANGE, 10, "must be from 1 to 9"),
    (INT_RANGE, 3.0, "must be an integer"),
    (FLOAT_RANGE, 1.0000001, "must be from 0.0 to 1.0"),
    (FLOAT_RANGE, -1, "must be from 0.0 to 1.0"),
    (FLOAT_RANGE, math.nan, "must be a finite number"),
    (STRING_ENUM, "Otsu", "must be one of 'otsu', 'li'"),
    (STRING_ENUM, ["otsu"], "must be a string"),
    (INT_ENUM, 4, "must be one of 3, 5"),
    (FLOAT_ENUM, 0.51, "must be one of 0.5, 2.0"),
    (declare("string_list"), "a", "must be a list of strings"),
    (declare("int_list"), {1}, "must be a list of integers"),
    (declare("int_list"), [1, True], "element 1 is not"),
    (declare("int_list"), [1, None], "element 1 is not"),
    (declare("int_list"), [[1]], "element 0 is not"),
    (declare("float_list"), [0.5, math.inf], "element 1 is not"),
    (declare("bool_list"), [0], "element 0 is not"),
    (declare("string_list", options=["a"]), ["a", "c"], "must be among the options ['a']"),
    (declare("int_list", options=[[1, 2], [3]]), [4], "must be among the options"),
]


@pytest.mark.parametrize(("parameter", "value", "rule"), REFUSED)
def test_what_does_not_fit(parameter: Parameter, value: Any, rule: str) -> None:
    """The error names the parameter, the rule and the value, in its message and for programs."""
    with pytest.raises(ParameterError) as caught:
        check(parameter, value)
    error = caught.value
    assert error.code == "invalid_parameter"
    assert "'p'" in str(error) and rule in str(error) and parameter.config.type in str(error)
    assert error.details["parameter"] == "p" and rule in error.details["rule"]
    assert set(error.details) == {"parameter", "rule", "value"}
    json.dumps(error.details, allow_nan=False)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    "value", ["x" * 10**6, [1] * 10**5, 10**5000, {"a": "b" * 10**5}], ids=lambda value: type(value).__name__
)
def test_a_huge_value_makes_no_huge_error(value: Any) -> None:
    """A message and its details are short whatever was submitted."""
    with pytest.raises(ParameterError) as caught:
        check(declare("bool"), value)
    assert len(str(caught.value)) < 400 and len(json.dumps(caught.value.details)) < 500


def test_defaults_are_filled_in() -> None:
    """What was not submitted, or is None, gets its default; what has none stays as it is."""
    declared = [INT_RANGE, declare("string").model_copy(update={"name": "q"})]
    assert check_arguments(declared, {}) == {"p": 3}
    assert check_arguments(declared, {"p": None, "q": None}) == {"p": 3, "q": None}
    assert check_arguments(declared, {"p": 5, "q": "x"}) == {"p": 5, "q": "x"}
    assert check_arguments([], {}) == {}


def test_false_values_are_values() -> None:
    """Zero, false, the empty text and the empty list are submitted, so no default takes their place."""
    assert check(declare("int", default=5), 0) == 0
    assert check(declare("bool", default=True), False) is False
    assert check(declare("string", default="a"), "") == ""
    assert check(declare("int_list", default=[1]), []) == []


def test_unknown_keys_pass() -> None:
    """What nobody declared reaches the algorithm as it was submitted."""
    odd = object()
    assert check_arguments([INT_RANGE], {"other": odd, "x": None}) == {"p": 3, "other": odd, "x": None}


def test_defaults_are_copies() -> None:
    """An algorithm that changes a default list changes it for its own run only; the submitted dict stays, too."""
    parameter = declare("int_list", default=[1, 2])
    submitted: dict[str, Any] = {}
    check_arguments([parameter], submitted)["p"].append(3)
    assert parameter.config.default == [1, 2] and submitted == {}


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=5),
    "int": st.integers(),
    "float": NUMBERS,
    "bool": st.booleans(),
}


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    """Any parameter that an author may declare, with a default."""
    kind = draw(st.sampled_from(sorted(ELEMENTS)))
    forms = ["", "_list"] + ([] if kind == "bool" else ["_enum"]) + (["_range"] if kind in ("int", "float") else [])
    form = draw(st.sampled_from(forms))
    element = ELEMENTS[kind]
    match form:
        case "_enum":
            options = draw(st.lists(element, min_size=1, max_size=4))
            return declare(kind + form, default=draw(st.sampled_from(options)), options=options)
        case "_list":
            options = draw(st.lists(st.one_of(element, st.lists(element, max_size=3)), max_size=3))
            return declare(kind + form, default=draw(st.lists(element, max_size=3)), options=options)
        case "_range":
            low, high = sorted(draw(st.lists(element, min_size=2, max_size=2, unique=True)))
            return declare(kind + form, default=draw(element), min=low, max=high, step=high - low)
    return declare(kind + form, default=draw(element))


@given(parameters())
def test_a_declared_default_always_fits(parameter: Parameter) -> None:
    """What would be filled in may also be submitted, and comes out the same."""
    default = parameter.config.default
    assert check(parameter, default) == check_arguments([parameter], {})["p"] == default


@given(st.integers(), st.integers(min_value=1), st.integers())
def test_a_range_is_what_it_says(low: int, width: int, value: int) -> None:
    """Integers within the bounds pass, all others fail with name, rule and value."""
    parameter = declare("int_range", default=low, min=low, max=low + width, step=1)
    if low <= value <= low + width:
        assert check(parameter, value) == value
        return
    with pytest.raises(ParameterError) as caught:
        check(parameter, value)
    assert caught.value.details["parameter"] == "p"
    assert caught.value.details["rule"] == f"it must be from {low} to {low + width}"
    if abs(value) < 1 << 64:
        assert caught.value.details["value"] == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(parameters(), JSON)
def test_any_value_passes_with_the_declared_type_or_is_a_parameter_error(parameter: Parameter, value: Any) -> None:
    """No value that JSON can hold fails in another way, and none passes as another type."""
    try:
        got = check(parameter, value)
    except ParameterError as error:
        json.dumps(error.details, allow_nan=False)
        return
    kind, _, form = parameter.config.type.partition("_")
    expected = {"string": str, "int": int, "float": float, "bool": bool}[kind]
    assert all(type(item) is expected for item in (got if form == "list" else [got]))

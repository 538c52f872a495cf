"""Bodies of `execute-algorithm` that cannot be understood."""

from __future__ import annotations

import json

import pytest

from compox_http.requests import RequestInvalid, parse_execute
from tests.http.serving import API, Wire, error_body

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


def test_a_missing_field_is_told_with_its_place(wire: Wire) -> None:
    """422 with a list, one entry a problem."""
    answer = wire.http.post(f"{API}/execute-algorithm", json={"input_dataset_ids": ["x"]})
    assert answer.status_code == 422
    assert error_body(answer) == {
        "detail": [
            {
                "type": "missing",
                "loc": ["body", "algorithm_id"],
                "msg": "Field required",
                "input": {"input_dataset_ids": ["x"]},
            }
        ],
        "code": "request_validation_error",
        "retryable": False,
    }


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"[]", b'"text"', b"null", b"7", b"\xff\xfe", b"{}", b'{"algorithm_id": 1, ',
        b'{"algorithm_id": "\\ud800", "input_dataset_ids": []}', b"[" * 100_000, b"a=1&b=2",
        b'{"a":' * 100_000, b'{"algorithm_id": "\xfc", "input_dataset_ids": []}', b'{"x": ' + b"9" * 5000 + b"}",
        b"\xfe\xff\x00{", b"\x00", b"\xef\xbb\xbf",
    ],
)  # fmt: skip
def test_what_is_no_request_is_422(wire: Wire, body: bytes) -> None:
    """Never a 500, and always the same shape."""
    answer = wire.http.post(f"{API}/execute-algorithm", content=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "request_validation_error"
    for issue in answer.json()["detail"]:
        assert issue["loc"][0] == "body" and {"type", "msg", "input"} <= set(issue)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("algorithm_id", 7),
        ("algorithm_id", None),
        ("input_dataset_ids", "x"),
        ("input_dataset_ids", [1]),
        ("checkpoint_id", 5),
        ("algorithm_minor_version", 1.5),
        ("algorithm_minor_version", True),
        ("execution_device_override", ["cpu"]),
        ("additional_parameters", []),
        ("session_token", {}),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    """The place leads to the field."""
    body = {"algorithm_id": "a", "input_dataset_ids": [], field: value}
    with pytest.raises(RequestInvalid) as caught:
        parse_execute(json.dumps(body).encode())
    assert caught.value.issues[0]["loc"][:2] == ["body", field]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_in_any_unicode_encoding_is_read(encoding: str) -> None:
    """With a byte order mark or without, as clients on Windows write it."""
    assert parse_execute('{"algorithm_id": "ü😀", "input_dataset_ids": []}'.encode(encoding)).algorithm_id == "ü😀"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", '[1, {"a": NaN}]'])
def test_a_number_that_json_does_not_have_is_refused(wire: Wire, number: str) -> None:
    """It would be null in the record."""
    algorithm_id = wire.algorithm_id("double")
    body = f'{{"algorithm_id": "{algorithm_id}", "input_dataset_ids": [], "additional_parameters": {{"x": {number}}}}}'
    answer = wire.http.post(f"{API}/execute-algorithm", content=body.encode())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert answer.json()["details"]["parameter"] == "x"


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    """As in every common reader of JSON."""
    body = b'{"algorithm_id": "a", "algorithm_id": "b", "input_dataset_ids": []}'
    assert parse_execute(body).algorithm_id == "b"


def test_all_problems_come_at_once() -> None:
    """A request with three problems is told of three."""
    with pytest.raises(RequestInvalid) as caught:
        parse_execute(b'{"checkpoint_id": 1}')
    assert len(caught.value.issues) == 3


def test_a_body_that_is_too_large_is_413(wire: Wire) -> None:
    """JSON has a limit, files have none."""
    answer = wire.http.post(f"{API}/execute-algorithm", content=b" " * 11_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "http_413")

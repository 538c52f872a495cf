"""The one table of errors, both ways."""

from __future__ import annotations

import json

import pytest

from compox_core import errors
from compox_http.errors import body_of, error_from, http_body, status_of, validation_body

CASES = [
    (errors.NotFoundError("no", code="file_not_found", details={"file_id": "x"}), 404),
    (errors.ConflictError("no", code="execution_not_stoppable", details={"status": "FAILED"}), 400),
    (errors.ConflictError("no", code="algorithm_not_removable"), 400),
    (errors.ConflictError("no", code="algorithm_not_exportable"), 403),
    (errors.ParameterError("no", details={"parameter": "p", "rule": "max", "value": 3}), 422),
    (errors.DataError("no", code="invalid_hdf5_file"), 422),
    (errors.PackageError("no", code="invalid_deployment_zip"), 400),
    (errors.InvalidInputError("no"), 422),
]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: getattr(case, "code", str(case)))
def test_what_a_client_did_wrong_travels_whole(error: errors.CompoxError, status: int) -> None:
    """Class, message, code and details survive the way over the wire."""
    assert status_of(error) == status
    back = error_from(status, json.loads(json.dumps(body_of(error))))
    assert type(back) is type(error)
    assert (back.message, back.code, back.details, back.retryable) == ("no", error.code, error.details, False)


@pytest.mark.parametrize(
    "error",
    [
        errors.StorageError("secret", code="disk_full", details={"where": "secret"}, retryable=True),
        errors.AlgorithmError("secret"),
        errors.SettingsError("secret"),
        errors.StateError("secret"),
        errors.MissingExtraError("secret"),
        errors.TaskFailedError("secret"),
        errors.CompoxError("secret"),
    ],
    ids=lambda error: error.code,
)
def test_what_the_server_did_wrong_is_masked(error: errors.CompoxError) -> None:
    """Only the code and whether to try again."""
    assert status_of(error) == 500
    body = body_of(error)
    assert set(body) == {"detail", "code", "retryable"} and "secret" not in str(body)
    back = error_from(500, body)
    assert (back.code, back.retryable) == (error.code, error.retryable)
    assert isinstance(back, errors.StorageError) == isinstance(error, errors.StorageError)


def test_no_details_no_key() -> None:
    """The key is absent, not null."""
    assert "details" not in body_of(errors.NotFoundError("no"))


def test_a_list_of_issues_becomes_one_message() -> None:
    """A client reads the places; a program finds the list."""
    issues = [{"type": "missing", "loc": ["body", "algorithm_id"], "msg": "Field required", "input": {}}]
    back = error_from(422, validation_body(issues))
    assert isinstance(back, errors.InvalidInputError)
    assert "body.algorithm_id: Field required" in back.message and back.details == {"issues": issues}


@pytest.mark.parametrize("body", [None, "text", [], 7, {}, {"detail": None}, http_body(404), {"detail": [7]}])
@pytest.mark.parametrize("status", [200, 302, 400, 404, 422, 500, 502])
def test_any_answer_becomes_an_error(status: int, body: object) -> None:
    """Also one of a server that is not ours."""
    error = error_from(status, body)
    assert isinstance(error, errors.CompoxError) and error.message and error.code

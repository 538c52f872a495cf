"""What an error is on the wire: one table from classes and codes to statuses, and the way back for the client.

Bodies are objects with `detail`, `code`, `retryable` and, below status 500 and where there are any, `details`. From
status 500 on the message and the details stay in the server's log, but for what says nothing of its machine. A request
that cannot be understood has a list in `detail`, one entry a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from compox_core.errors import (
    CompoxError,
    ConflictError,
    DataError,
    InvalidInputError,
    NotFoundError,
    PackageError,
    ParameterError,
    SettingsError,
    StateError,
    StorageError,
)

MASKED_DETAIL = "Failed due to an internal server error."
INTERNAL_CODE = "internal_server_error"
VALIDATION_CODE = "request_validation_error"

# A code decides before a class, and a class before the classes that it derives from.
_STATUS_OF_CODE = {
    "algorithm_not_exportable": 403,
    "deploy_path_not_allowed": 403,
    "deploy_not_local": 403,
    "origin_not_allowed": 403,
    "url_not_valid": 403,
    "invalid_checkpoint": 400,
    "checkpoint_asset_incompatible": 400,
    "invalid_checkpoint_record": 400,
    "invalid_sample_record": 400,
    "invalid_sample_manifest": 400,
    "file_exists": 409,
    "file_in_use": 409,
    "submit_conflict": 409,
    "upload_too_large": 413,
    "not_ready": 503,
    "bundle_importing": 503,
    "bundle_import_failed": 503,
}
_OPEN_CODES = ("bundle_importing", "bundle_import_failed")
"""What whoever watches over a server must know, and says nothing of its machine."""
_STATUS_OF_CLASS: tuple[tuple[type[CompoxError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 400),
    (PackageError, 400),
    (SettingsError, 500),
    (InvalidInputError, 422),
)

_STORAGE_CODES = ("disk_full", "storage_", "file_upload_failed", "file_download_failed", "file_delete_failed")
_PACKAGE_CODES = ("deploy", "invalid_deploy", "invalid_pyproject", "algorithm_module_", "algorithm_runner_not_found")
_UNREADABLE_CODES = ("invalid_checkpoint_record", "invalid_sample_")
_UNFIT_CODES = ("invalid_checkpoint", "checkpoint_asset_incompatible")
_DATA_CODES = ("invalid_hdf5_file", "hdf5_", "invalid_data", "unsupported_value")


def status_of(error: CompoxError) -> int:
    """Return the HTTP status of an error; 500 for what is no fault of the request."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUS_OF_CLASS if isinstance(error, kind)), 500)


def body_of(error: CompoxError) -> dict[str, Any]:
    """Return the body that tells a client of `error`; from status 500 on it rarely holds a message and details."""
    if status_of(error) >= 500 and error.code not in _OPEN_CODES:
        return internal_body(error.code, error.retryable)
    body: dict[str, Any] = {"detail": error.message, "code": error.code, "retryable": error.retryable}
    if error.details:
        body["details"] = error.details
    return body


def internal_body(code: str = INTERNAL_CODE, retryable: bool = False) -> dict[str, Any]:
    """Return the body of a failure whose cause only the server's log tells."""
    return {"detail": MASKED_DETAIL, "code": code, "retryable": retryable}


def http_body(status: int) -> dict[str, Any]:
    """Return the body of an error of HTTP itself: no such route, method not allowed, body too large."""
    return {"detail": HTTPStatus(status).phrase, "code": f"http_{status}", "retryable": False}


def validation_body(issues: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body for a request that cannot be understood; `issues` have `type`, `loc`, `msg` and `input`."""
    return {"detail": issues, "code": VALIDATION_CODE, "retryable": False}


def error_from(status: int, body: Any) -> CompoxError:
    """Return the error that a server's answer tells of, as the class that the engine would have raised."""
    answer: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    code = str(answer.get("code", f"http_{status}"))
    given = answer.get("details")
    details = dict(given) if isinstance(given, Mapping) else {}
    detail = answer.get("detail", "")
    if isinstance(detail, list):
        details["issues"] = detail
    kind = _class_of(status, code)
    return kind(_message(status, code, detail), code=code, details=details, retryable=answer.get("retryable") is True)


def _class_of(status: int, code: str) -> type[CompoxError]:
    if status >= 500:
        return StorageError if code.startswith(_STORAGE_CODES) else CompoxError
    if code.startswith("http_"):  # the route is not there at all: no server of ours, or one of another version
        return StateError
    if status == 404:
        return NotFoundError
    if status == 422:
        if code == ParameterError.default_code:
            return ParameterError
        return DataError if code.startswith(_DATA_CODES) else InvalidInputError
    if code.startswith(_UNREADABLE_CODES):
        return StorageError
    if code in _UNFIT_CODES:
        return InvalidInputError
    return PackageError if code.startswith(_PACKAGE_CODES) else ConflictError


def _message(status: int, code: str, detail: Any) -> str:
    if status >= 500:
        return f"The server failed ({status}, {code}); its log says why."
    if isinstance(detail, list):
        issues = "; ".join(_issue(issue) for issue in detail)
        return f"The server did not understand the request: {issues}"
    if code.startswith("http_"):
        return f"The server answered {status} {detail}: is this the address of a compox server?"
    return str(detail) or f"The server answered {status}."


def _issue(issue: Any) -> str:
    if not isinstance(issue, Mapping):
        return str(issue)
    place = ".".join(str(part) for part in issue.get("loc", ()))
    return f"{place}: {issue.get('msg', 'invalid')}"

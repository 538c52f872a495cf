"""What the answers and the silence of an S3 server mean for a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from compox_core.errors import CompoxError, StorageError

_FULL = {
    "InsufficientStorage",
    "QuotaExceeded",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "ServiceQuotaExceeded",
}
_BUSY = {"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "Throttling", "TooManyRequests"}


def answer(error: BaseException) -> tuple[int, str]:
    """Return HTTP status and S3 code of the server's answer behind an error, or (0, "") when it gave none.

    s3fs turns answers into operating system errors that do not tell them apart (a lost race and an invalid bucket
    name are both errno 22), so the answer is looked for in the cause.
    """
    for candidate in (error, error.__cause__):
        response: Any = getattr(candidate, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return int(status), str(response.get("Error", {}).get("Code", ""))
    return 0, ""


def lost_race(error: BaseException) -> bool:
    """Return whether an exclusive write was refused, because the object is there or is just being written."""
    return answer(error)[0] in (409, 412)


def no_object(error: BaseException) -> bool:
    """Return whether the answer says that the object is not there; of a HEAD it can also be the bucket."""
    status, code = answer(error)
    return status == 404 and code != "NoSuchBucket"


def no_bucket(error: BaseException) -> bool:
    """Return whether the answer says that the bucket is not there."""
    return answer(error)[1] == "NoSuchBucket"


def interrupted(error: BaseException) -> bool:
    """Return whether the connection broke while the content of an object was on its way."""
    return type(error).__name__ in ("ClientPayloadError", "IncompleteReadError", "ResponseStreamingError")


def storage_error(error: BaseException, action: str, where: str) -> StorageError | None:
    """Return the `StorageError` for what happened when we tried to `action` `where`, None for a defect of ours.

    Codes: `disk_full` (retryable), `storage_access_denied`, `storage_unavailable` (retryable), else
    `storage_write_failed` or `storage_read_failed`.
    """
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    status, code = answer(error)
    details = {"where": where, "status": status, "answer": code}
    said = f"HTTP {status} {code}".strip() if status else f"{type(error).__name__}: {error}"
    if code in _FULL or status == 507:
        message = (
            f"Cannot {action} {where}: the server's disk or quota is full ({said}). Free some space and try again."
        )
        return StorageError(message, code="disk_full", details=details, retryable=True)
    if status in (401, 403) or isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        message = f"Cannot {action} {where}: the S3 server denies access ({said}). Check keys and permissions."
        return StorageError(message, code="storage_access_denied", details=details)
    if code in _BUSY or status in (429, 500, 502, 503, 504) or (not status and _is_outage(error)):
        message = f"Cannot {action} {where}: the S3 server cannot be reached or is busy ({said}). Try again later."
        return StorageError(message, code="storage_unavailable", details=details, retryable=True)
    if status or isinstance(error, (BotoCoreError, OSError)):
        kind = "storage_read_failed" if action in ("read", "list") else "storage_write_failed"
        return StorageError(f"Cannot {action} {where}: {said}.", code=kind, details=details)
    return None


def _is_outage(error: BaseException) -> bool:
    from aiohttp import ClientError
    from botocore.exceptions import ConnectionError, HTTPClientError

    return isinstance(error, (ConnectionError, HTTPClientError, ClientError, OSError, TimeoutError))


@contextmanager
def reported(action: str, where: str) -> Iterator[None]:
    """Turn what s3fs raises in the block into `StorageError`s."""
    try:
        yield
    except CompoxError:
        raise
    except Exception as error:  # the boundary to s3fs, whose errors have no common class
        known = storage_error(error, action, where)
        if known is None:
            raise
        raise known from error

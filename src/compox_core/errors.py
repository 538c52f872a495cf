"""One exception tree for the whole product.

    CompoxError
    ├── InvalidInputError (ValueError)     what a person or a client gave does not fit
    │   ├── ParameterError                 a parameter of an algorithm: wrong type, out of range, unknown option
    │   ├── DataError                      an array, an HDF5 file, an image file
    │   ├── PackageError                   an algorithm folder, zip or pyproject.toml
    │   └── SettingsError                  a configuration
    ├── NotFoundError (LookupError)        a named thing does not exist
    ├── ConflictError                      it exists already, or its state forbids the request
    ├── StorageError (OSError)             the store refused or could not be reached
    ├── MissingExtraError (ImportError)    an optional dependency is not installed
    ├── StateError (RuntimeError)          something was used before it was ready, or after it was closed
    ├── AlgorithmError (RuntimeError)      an algorithm could not be loaded or did something wrong
    └── TaskFailedError (RuntimeError)     a run that somebody waited for ended FAILED or STOPPED

    TaskStoppedException (BaseException)   raised inside an algorithm when its stop was requested

Every `CompoxError` has a stable `code`, a message that names what, where and why, `details` for programs, and says by
`retryable` whether the same call may succeed later. There is no HTTP in here: a transport maps classes and codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class CompoxError(Exception):
    """Any failure that compox reports on purpose.

    Args:
        message: What happened to which thing and why, and what to do next, in one or two sentences.
        code: A stable machine-readable name; the class has a default.
        details: JSON-ready facts for programs (ids, names, values).
        retryable: Whether the same call may succeed later without any change.
        cause: What it comes from, for where `raise … from` cannot be written.
        http_status: Accepted from algorithms of compox 3.2 and ignored: a transport maps classes and codes.
    """

    default_code: ClassVar[str] = "compox_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        retryable: bool = False,
        cause: BaseException | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message)
        if cause is not None:
            self.__cause__ = cause
        self.message = message
        self.code = code or self.default_code
        self.details: dict[str, Any] = dict(details or {})
        self.retryable = retryable

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.code, self.details, self.retryable))


def _rebuild(cls: type[CompoxError], message: str, code: str, details: dict[str, Any], retryable: bool) -> CompoxError:
    return cls(message, code=code, details=details, retryable=retryable)


class InvalidInputError(CompoxError, ValueError):
    """Something that a person or a client gave does not fit."""

    default_code = "validation_error"


class ParameterError(InvalidInputError):
    """A submitted parameter breaks a rule that the algorithm declares. `details` has `parameter`, `rule`, `value`."""

    default_code = "invalid_parameter"


class DataError(InvalidInputError):
    """An array, an HDF5 file or an image file does not fit its schema or format."""

    default_code = "invalid_data"


class PackageError(InvalidInputError):
    """An algorithm folder, its zip or its `pyproject.toml` cannot be deployed."""

    default_code = "deployment_error"


class SettingsError(InvalidInputError):
    """A configuration has an unknown key, a wrong value or a file that cannot be read."""

    default_code = "configuration_error"


class NotFoundError(CompoxError, LookupError):
    """A named thing (algorithm, file, record, object) does not exist."""

    default_code = "not_found"


class ConflictError(CompoxError):
    """The thing exists already, or its present state forbids what was asked."""

    default_code = "conflict"


class StorageError(CompoxError, OSError):
    """The store refused an operation or could not be reached."""

    default_code = "storage_error"


class MissingExtraError(CompoxError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    default_code = "missing_extra"


class StateError(CompoxError, RuntimeError):
    """Something was used before it was ready or after it was closed."""

    default_code = "state_error"


class AlgorithmError(CompoxError, RuntimeError):
    """An algorithm could not be loaded, lacks a hook that was needed, or returned something that cannot be used."""

    default_code = "algorithm_error"


class TaskFailedError(CompoxError, RuntimeError):
    """A run that somebody waited for ended FAILED or STOPPED; `details` has the record's `error`, the log its story."""

    default_code = "task_failed"


class TaskStoppedException(BaseException):
    """The stop of this task was requested.

    Raised by the next call that an algorithm makes to its task. It derives from `BaseException`, so that an
    `except Exception` in an algorithm does not swallow it: let it pass, clean up in `finally`.
    """

    def __init__(self, message: str = "The task was stopped on request.") -> None:
        super().__init__(message)
        self.message = message
        self.code = "task_stopped"

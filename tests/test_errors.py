"""The exception tree as programs and older algorithms use it."""

from __future__ import annotations

import pickle

import pytest

from compox_core import errors

CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.CompoxError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_is_made_as_older_algorithms_make_it(cls: type[errors.CompoxError]) -> None:
    """Message, code, details, cause and a status that is ignored: what `compox.exceptions` of compox 3.2 took."""
    reason = KeyError("why")
    error = cls("what", code="c", http_status=418, retryable=True, details={"a": 1}, cause=reason)
    assert (str(error), error.code, error.retryable, error.details) == ("what", "c", True, {"a": 1})
    assert error.__cause__ is reason


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_travels_between_processes(cls: type[errors.CompoxError]) -> None:
    """Pickling keeps the class and everything that it says."""
    error = pickle.loads(pickle.dumps(cls("what", details={"a": 1})))
    assert type(error) is cls
    assert (error.message, error.code, error.details) == ("what", cls.default_code, {"a": 1})

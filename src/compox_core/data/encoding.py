"""Python values as the plain arrays that a data file stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from compox_core.data.validation import described
from compox_core.errors import DataError

Stored = tuple[NDArray[Any] | str | bytes, np.dtype[Any] | None]
"""What h5py is given: the data and, for texts, the HDF5 string type."""


def encode(key: str, value: Any) -> Stored:
    """Turn the value of `key` into what is stored: numbers as they are, texts as variable-length UTF-8.

    Lists of equally shaped arrays are stacked along a new first axis, an empty list is an empty list of texts. Raises
    DataError(code="unsupported_value") for what has no such form: dicts, None inside a list, ragged or mixed lists,
    objects, dates, records, masked values, text with a NUL.
    """
    if isinstance(value, str):
        return _text(key, str(value)), h5py.string_dtype()
    if isinstance(value, bytes):
        _text(key, bytes(value))
        return bytes(value), h5py.string_dtype("ascii")
    if isinstance(value, list | tuple) and not value:
        return np.empty(0, object), h5py.string_dtype()
    array = _array(key, value)
    if array.dtype.kind in "biufc":
        return array, None
    if array.dtype.kind in "UST" and _only_texts(value):
        return _texts(key, array), h5py.string_dtype()
    raise _unsupported(key, value, _why(array))


def check_key(key: Any) -> str:
    """Return `key` if it can name a dataset at the root of a file, else raise DataError(code="invalid_key")."""
    problem = None
    if not isinstance(key, str):
        problem = f"it is not a text but {described(key)}"
    elif not key or key == "." or "/" in key or "\0" in key:
        problem = 'it is empty, "." or contains "/" or NUL'
    elif not _encodable(key):
        problem = "it cannot be written as UTF-8"
    if problem is None:
        return str(key)
    raise DataError(
        f"{key!r} cannot name a dataset: {problem}. Rename the key.", code="invalid_key", details={"key": repr(key)}
    )


def _array(key: str, value: Any) -> NDArray[Any]:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise _unsupported(key, value, "a data file keeps no masked values; fill them with value.filled(0)")
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        # ragged lists, tensors on a device or with a gradient, objects whose __array__ refuses
        reason = f"it cannot become one array ({error}); use a list of equally shaped arrays, or one key for each"
        raise _unsupported(key, value, reason) from error


def _texts(key: str, array: NDArray[Any]) -> NDArray[Any]:
    texts = [_text(key, item) for item in array.ravel().tolist()]
    return np.array(texts, object).reshape(array.shape)


def _text(key: str, value: str | bytes) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except UnicodeError as error:
        raise _unsupported(key, value, "it is not valid UTF-8 text; store bytes as a uint8 array") from error
    if "\0" in text:
        raise _unsupported(key, value, "a text cannot hold a NUL; store bytes as a uint8 array")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def _only_texts(value: Any) -> bool:
    kinds = {_leaf_kind(leaf) for leaf in _leaves(value)}
    return kinds <= {"text"} or kinds <= {"bytes"}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _leaf_kind(leaf: Any) -> str:
    if isinstance(leaf, str):
        return "text"
    if isinstance(leaf, bytes):
        return "bytes"
    return {"U": "text", "T": "text", "S": "bytes"}.get(np.asarray(leaf).dtype.kind, "other")


def _why(array: NDArray[Any]) -> str:
    if array.dtype.kind in "mM":
        return 'dates are not stored; use numbers, e.g. value.astype("int64"), or texts'
    if array.dtype.kind in "UST":
        return "texts and other values are mixed; store them under keys of their own"
    if array.dtype.kind == "V":
        return "records are not stored; use one key for each field"
    return "only arrays, numbers, texts and lists of them are stored; use one key for each part"


def _unsupported(key: str, value: Any, reason: str) -> DataError:
    return DataError(
        f"`{key}` ({described(value)}) cannot be stored: {reason}.",
        code="unsupported_value",
        details={"key": key, "given": described(value)},
    )

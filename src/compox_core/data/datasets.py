"""One dataset of an HDF5 file that anyone may have written: what is read, and what is refused.

Links, virtual and external datasets would read other files of this machine; records, references and objects have no
plain array; a dataset may claim more values than it stores. All of these are a DataError before any value is read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from compox_core.data.heaps import check_heaps
from compox_core.errors import DataError

# Deflate, the strongest filter that h5py always has, packs at most 1 : 1032. What claims more is not stored at all.
MOST_COMPRESSION = 1100
HARMLESS_BYTES = 256 * 2**20


@dataclass(frozen=True)
class OpenFile:
    """An HDF5 file open for reading: its root, its name for errors, and a way to its raw bytes."""

    root: h5py.File
    name: str
    raw: Callable[[], AbstractContextManager[Any]]


def read_dataset(file: OpenFile, name: str) -> Any:
    """Return the values of the root dataset `name`, or None where the file has none of that name.

    Numbers are an array or a numpy scalar, texts a str or a (nested) list of str.
    Raises DataError: hdf5_group, hdf5_link, hdf5_too_large, unsupported_value.
    """
    root = file.root.id
    if name in ("", ".") or "/" in name or "\0" in name or not root.links.exists(name.encode()):
        return None
    if root.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise unreadable(file.name, name, "it is a link to another place or file", "hdf5_link")
    entry = h5py.h5o.open(root, name.encode())
    if isinstance(entry, h5py.h5g.GroupID):
        raise unreadable(file.name, name, "it is a group, and a data file has datasets only", "hdf5_group")
    if not isinstance(entry, h5py.h5d.DatasetID):
        raise unreadable(file.name, name, "it is not a dataset", "unsupported_value")
    dataset = checked(entry, name, file.name)
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None:
        return dataset[()]
    if text.length is None:
        _check_heaps(dataset, name, file)
    return _texts(dataset, name, file.name)


def checked(entry: h5py.h5d.DatasetID, name: str, where: str) -> h5py.Dataset:
    """Return the dataset where its values lie in this file, are numbers or texts, and are as many as it claims."""
    layout = entry.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise unreadable(where, name, "its values lie in another file", "hdf5_link")
    dataset = h5py.Dataset(entry)
    if dataset.shape is None:
        raise unreadable(where, name, "it is an empty (null) dataset", "unsupported_value")
    dtype = _dtype(dataset, name, where)
    claimed, stored = dataset.size * dtype.itemsize, entry.get_storage_size()
    if claimed > HARMLESS_BYTES and claimed > stored * MOST_COMPRESSION:
        raise unreadable(where, name, f"it claims {claimed} bytes but stores {stored}", "hdf5_too_large")
    return dataset


def unreadable(where: str, name: str, reason: str, code: str) -> DataError:
    """The error for a dataset that is refused."""
    return DataError(
        f"`{name}` of {where} cannot be read: {reason}. Write the file with plain datasets of numbers or texts "
        "at its root.",
        code=code,
        details={"file": where, "key": name, "reason": reason},
    )


def _dtype(dataset: h5py.Dataset, name: str, where: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = dataset.dtype
    except TypeError as error:
        raise unreadable(where, name, f"its type has no numpy form ({error})", "unsupported_value") from error
    if dtype.kind not in "biufc" and h5py.check_string_dtype(dtype) is None:
        raise unreadable(where, name, f"it holds {_type_name(dtype)}, not numbers or texts", "unsupported_value")
    return dtype


def _type_name(dtype: np.dtype[Any]) -> str:
    if h5py.check_ref_dtype(dtype) is not None:
        return "references"
    if h5py.check_vlen_dtype(dtype) is not None:
        return "arrays of varying length"
    return "records" if dtype.names else f"values of type {dtype}"


def _check_heaps(dataset: h5py.Dataset, name: str, file: OpenFile) -> None:
    try:
        with file.raw() as stream:
            check_heaps(dataset, stream)
    except ValueError as error:
        raise unreadable(file.name, name, str(error), "invalid_hdf5_file") from error


def _texts(dataset: h5py.Dataset, name: str, where: str) -> Any:
    try:
        texts = dataset.asstr()[()]
    except UnicodeDecodeError as error:
        raise unreadable(where, name, "its text is not UTF-8", "unsupported_value") from error
    return texts.tolist() if isinstance(texts, np.ndarray) else texts

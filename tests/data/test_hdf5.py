"""The HDF5 codec: what is written, what comes back, and how little is read."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compox_core.data import hdf5, is_hdf5, read_hdf5, write_hdf5
from compox_core.errors import DataError, NotFoundError, StorageError

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", "?", ">u2", ">i4", ">f8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
KEYS = TEXTS.filter(lambda key: key not in ("", ".") and "/" not in key)


def stored(**values: Any) -> io.BytesIO:
    """A data file in memory."""
    file = io.BytesIO()
    write_hdf5(file, values)
    return file


def back(value: Any) -> Any:
    """The value as a file gives it back."""
    return read_hdf5(stored(k=value))["k"]


@given(st.dictionaries(KEYS, ARRAYS, max_size=3))
def test_arrays_come_back_with_dtype_shape_and_bytes(values: dict[str, np.ndarray]) -> None:
    """Numbers of any kind, size and byte order survive, and keys come in the order of their names."""
    file = io.BytesIO()
    write_hdf5(file, values)
    found = read_hdf5(file)
    assert list(found) == sorted(values, key=str.encode)
    for key, array in values.items():
        got = np.asarray(found[key])
        # A numpy scalar has no byte order of its own.
        expected = array if array.ndim else array.astype(array.dtype.newbyteorder("="))
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert got.tobytes() == expected.tobytes()


@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_texts_come_back_as_str_and_list(text: str, texts: list[str]) -> None:
    """A text is a str and a list of texts a list, empty ones included."""
    assert read_hdf5(stored(one=text, many=texts)) == {"one": text, "many": texts}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, np.int64(7)),
        (2.5, np.float64(2.5)),
        (True, np.bool_(True)),
        (np.float16(1.5), np.float16(1.5)),
        (1 + 2j, np.complex128(1 + 2j)),
    ],
)
def test_numbers_come_back_as_numpy_scalars(value: Any, expected: Any) -> None:
    """Scalars are stored without axes and come back as numpy scalars."""
    got = back(value)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (np.str_("x"), "x"),
        ("", ""),
        ([], []),
        ((), []),
        (("a", "b"), ["a", "b"]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.array([["a"], ["b"]]), [["a"], ["b"]]),
        (np.array([b"a", b"bc"]), ["a", "bc"]),
        ([["a", "b"], ["c", "d"]], [["a", "b"], ["c", "d"]]),
        (np.array("abc"), "abc"),
    ],
)
def test_texts_of_every_form(value: Any, expected: Any) -> None:
    """Bytes, numpy texts and nested lists of texts come back as str and lists of str."""
    assert back(value) == expected


def test_lists_of_arrays_are_stacked() -> None:
    """Equally shaped arrays get one more leading axis; lists of numbers become arrays."""
    got = back([np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8)])
    assert (got.shape, got.dtype) == ((2, 2, 3), np.uint8)
    assert back((1, 2)).tolist() == [1, 2]
    assert back([1, 2.5]).dtype == np.float64


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": 1}, "only arrays, numbers, texts"),
        ([1, None], "only arrays"),
        (np.array([1, "a"], object), "only arrays"),
        ({1, 2}, "only arrays"),
        (object(), "only arrays"),
        (2**70, "only arrays"),
        (["a", 1], "mixed"),
        (["a", b"b"], "mixed"),
        ([np.zeros(2), np.zeros(3)], "equally shaped"),
        ([["a"], ["b", "c"]], "equally shaped"),
        (np.zeros(2, "M8[s]"), "dates"),
        (np.zeros(2, [("x", "i4")]), "records"),
        ("a\0b", "NUL"),
        (b"a\0b", "NUL"),
        (["a\0b"], "NUL"),
        (b"\xff", "UTF-8"),
        ("\ud800", "UTF-8"),
        (np.ma.array([1, 2], mask=[0, 1]), "masked"),
    ],
)
def test_what_cannot_be_stored_is_named_before_a_file_is_made(tmp_path: Path, value: Any, says: str) -> None:
    """An unsupported value is a DataError with the key and the way out, and no file appears."""
    path = tmp_path / "x.h5"
    with pytest.raises(DataError, match=says) as caught:
        write_hdf5(path, {"good": np.zeros(3), "bad": value})
    assert caught.value.code == "unsupported_value"
    assert caught.value.details["key"] == "bad"
    assert not path.exists()


@pytest.mark.parametrize("key", ["", ".", "a/b", "/a", "a\0", "\ud800", 3])
def test_keys_that_cannot_name_a_dataset_are_refused(key: Any) -> None:
    """A key with a slash would make a group, which readers refuse."""
    with pytest.raises(DataError) as caught:
        write_hdf5(io.BytesIO(), {key: 1})
    assert caught.value.code == "invalid_key"


def test_datasets_are_bare() -> None:
    """Every key is a contiguous root dataset without attributes or filters; None is left out; texts are UTF-8."""
    with h5py.File(stored(a=np.zeros((4, 5)), n=None, t="ä", l=[], b=True)) as file:
        assert sorted(file) == ["a", "b", "l", "t"]
        assert not file.attrs
        for dataset in file.values():
            assert not dataset.attrs
            assert (dataset.chunks, dataset.compression, dataset.maxshape) == (None, None, dataset.shape)
        assert file["b"].shape == () and file["b"].dtype == bool
        for key, shape in (("t", ()), ("l", (0,))):
            assert file[key].shape == shape
            assert h5py.check_string_dtype(file[key].dtype) == ("utf-8", None)


def test_a_file_on_disk_is_the_file_in_memory(tmp_path: Path) -> None:
    """A path and a stream get the same bytes, and a stream that is write-only too."""
    values = {"image": np.arange(20.0).reshape(4, 5), "names": ["a"]}
    path = tmp_path / "x.h5"
    path.write_bytes(b"older and longer" * 1000)
    write_hdf5(path, values)
    assert path.read_bytes() == stored(**values).getvalue()

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe()
    write_hdf5(pipe, values)
    assert pipe.getvalue() == path.read_bytes()
    assert is_hdf5(path)
    assert not is_hdf5(tmp_path)


def test_absent_keys_are_none_and_the_order_is_as_asked() -> None:
    """A keyed read gives every key that was asked for, also those that cannot name a dataset."""
    file = stored(a=1, b=2)
    assert list(read_hdf5(file, ["b", "c", "a", "a", "a/b", "", "."]).items()) == [
        ("b", 2), ("c", None), ("a", 1), ("a/b", None), ("", None), (".", None)
    ]  # fmt: skip
    assert read_hdf5(file, []) == {}


class CountingStream(io.BytesIO):
    """A stream that counts the bytes that were read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read, in pieces of at most 1,000 bytes as a network does."""
        part = super().read(min(size, 1000) if size and size > 0 else size)
        self.count += len(part)
        return part


def test_only_what_is_asked_for_is_read() -> None:
    """Reading a small key of a large file transfers a fraction of it."""
    content = stored(huge=np.zeros(2**20, np.uint8), small=np.arange(10)).getvalue()
    stream = CountingStream(content)
    assert read_hdf5(stream, ["small"])["small"].tolist() == list(range(10))
    assert stream.count < len(content) / 20
    assert read_hdf5(stream)["huge"].size == 2**20


def test_a_huge_dataset_beside_does_not_matter_and_an_unstored_one_is_refused(tmp_path: Path) -> None:
    """A dataset of a terabyte that was never written costs nothing unless it is asked for, and is refused then."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("huge", shape=(2**40,), dtype=np.uint8)
        file["small"] = 5
    assert read_hdf5(path, ["small"]) == {"small": 5}
    with pytest.raises(DataError, match="claims 1099511627776 bytes") as caught:
        read_hdf5(path)
    assert caught.value.code == "hdf5_too_large"


def test_an_outage_of_the_stream_is_not_called_a_damaged_file() -> None:
    """What the stream raises passes unchanged, when the file is opened and when a dataset is read."""

    class Failing(io.BytesIO):
        left = 10**9

        def read(self, size: int | None = -1) -> bytes:
            part = super().read(size)
            self.left -= len(part)
            if self.left < 0:
                raise OSError("the store is gone")
            return part

    stream = Failing(stored(a=np.zeros(10**5)).getvalue())
    for left in (0, 50_000):
        stream.left = left
        with pytest.raises(OSError, match="the store is gone") as caught:
            read_hdf5(stream)
        assert not isinstance(caught.value, DataError)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a StorageError and no half file stays; a path that cannot be opened is left alone."""

    def full(file: Any, values: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hdf5, "_write", full)
    path = tmp_path / "x.h5"
    with pytest.raises(StorageError, match="No space left") as caught:
        write_hdf5(path, {"a": 1})
    assert caught.value.code == "data_write_failed"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError):
        write_hdf5(tmp_path, {"a": 1})
    assert tmp_path.is_dir()


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A path without a file is a NotFoundError."""
    with pytest.raises(NotFoundError) as caught:
        read_hdf5(tmp_path / "none.h5")
    assert caught.value.code == "file_not_found"

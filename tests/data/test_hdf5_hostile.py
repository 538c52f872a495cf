"""HDF5 files made to mislead: each is a DataError with a code, and nothing else of the machine is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compox_core.data import read_hdf5, write_hdf5
from compox_core.errors import DataError

GOOD = io.BytesIO()
write_hdf5(GOOD, {"image": np.arange(400, dtype=np.float32).reshape(20, 20), "names": ["a", "b"], "stats": "text"})
CONTENT = GOOD.getvalue()


def secret(folder: Path) -> Path:
    """A file beside the hostile one that must not be read through it."""
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(10, dtype=np.uint8)
    return path


def external_link(file: h5py.File, folder: Path) -> None:
    file["x"] = h5py.ExternalLink(str(secret(folder)), "x")


def soft_link(file: h5py.File, folder: Path) -> None:
    file["real"] = 1
    file["x"] = h5py.SoftLink("/real")


def dangling_link(file: h5py.File, folder: Path) -> None:
    file["x"] = h5py.SoftLink("/nowhere")


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(shape=(10,), dtype=np.uint8)
    layout[:] = h5py.VirtualSource(str(secret(folder)), "x", shape=(10,))
    file.create_virtual_dataset("x", layout)


def external_storage(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", shape=(10,), dtype=np.uint8, external=[(str(secret(folder)), 0, 10)])


def group(file: h5py.File, folder: Path) -> None:
    file.create_group("x")["inner"] = 1


def named_type(file: h5py.File, folder: Path) -> None:
    file["x"] = np.dtype("f8")


def null_dataset(file: h5py.File, folder: Path) -> None:
    file["x"] = h5py.Empty("f4")


def records(file: h5py.File, folder: Path) -> None:
    file["x"] = np.zeros(3, [("a", "i4"), ("b", "f8")])


def references(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", data=np.array([file.ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)


def ragged(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", shape=(2,), dtype=h5py.vlen_dtype(np.int32))


def opaque(file: h5py.File, folder: Path) -> None:
    file["x"] = np.zeros(3, "V4")


def array_type(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", shape=(2,), dtype=np.dtype(("f4", (3,))))


def latin1_text(file: h5py.File, folder: Path) -> None:
    file["x"] = np.array([b"\xe9t\xe9"])


def bomb(file: h5py.File, folder: Path) -> None:
    file.create_dataset("x", shape=(2**20, 2**20), dtype=np.float64, chunks=(1024, 1024), compression="gzip")


CASES: list[tuple[Callable[[h5py.File, Path], None], str]] = [
    (external_link, "hdf5_link"),
    (soft_link, "hdf5_link"),
    (dangling_link, "hdf5_link"),
    (virtual, "hdf5_link"),
    (external_storage, "hdf5_link"),
    (group, "hdf5_group"),
    (named_type, "unsupported_value"),
    (null_dataset, "unsupported_value"),
    (records, "unsupported_value"),
    (references, "unsupported_value"),
    (ragged, "unsupported_value"),
    (opaque, "unsupported_value"),
    (array_type, "unsupported_value"),
    (latin1_text, "unsupported_value"),
    (bomb, "hdf5_too_large"),
]


@pytest.mark.parametrize(("make", "code"), CASES, ids=[make.__name__ for make, _ in CASES])
@pytest.mark.parametrize("keyed", [False, True])
def test_hostile_entries_are_refused(
    tmp_path: Path, make: Callable[[h5py.File, Path], None], code: str, keyed: bool
) -> None:
    """The error names the dataset and the file, and the good key beside it is still readable."""
    path = tmp_path / "hostile.h5"
    with h5py.File(path, "w") as file:
        file["good"] = 7
        make(file, tmp_path)
    with pytest.raises(DataError) as caught:
        read_hdf5(path, ["x"] if keyed else None)
    assert caught.value.code == code
    assert caught.value.details["key"] == "x"
    assert "hostile.h5" in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert read_hdf5(path, ["good"]) == {"good": 7}


@pytest.mark.parametrize(
    "content",
    [b"", b"not HDF5 at all", CONTENT[:8], CONTENT[:100], CONTENT[: len(CONTENT) // 2], CONTENT[:-1], b"\0" * 4096],
    ids=["empty", "text", "signature", "superblock", "half", "last byte gone", "zeros"],
)
def test_what_is_not_whole_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, foreign and truncated files are invalid_hdf5_file, by path and by stream."""
    path = tmp_path / "broken.h5"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        with pytest.raises(DataError, match="not a readable HDF5 file") as caught:
            read_hdf5(source)
        assert caught.value.code == "invalid_hdf5_file"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_bytes_give_values_or_a_data_error(damage: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed, reading ends with values or with a DataError."""
    content = bytearray(CONTENT)
    for place, value in damage:
        content[place] = value
    try:
        read_hdf5(io.BytesIO(bytes(content)))
    except DataError as error:
        assert error.code in ("invalid_hdf5_file", "hdf5_group", "hdf5_link", "hdf5_too_large", "unsupported_value")


HEAP = CONTENT.find(b"GCOL")
REFERENCE = CONTENT.rfind(b"\x04\0\0\0" + (HEAP).to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("place", "damage"),
    [
        (HEAP, b"X"),
        (HEAP + 4, b"\2"),
        (HEAP + 8, b"\0" * 8),
        (HEAP + 8, b"\xff" * 8),
        (HEAP + 16, b"\0" * 16),
        (HEAP + 24, b"\xff" * 8),
        (REFERENCE, b"\xff\xff\xff\xff"),
        (REFERENCE + 4, b"\xff" * 8),
    ],
    ids=["signature", "version", "no size", "huge size", "empty entry", "huge entry", "4 GiB text", "no heap"],
)
def test_damaged_texts_end_neither_in_a_loop_nor_in_the_memory(place: int, damage: bytes) -> None:
    """HDF5 would loop for ever in such a heap of texts, or take 4 GiB for one: it never gets to see them."""
    content = CONTENT[:place] + damage + CONTENT[place + len(damage) :]
    with pytest.raises(DataError) as caught:
        read_hdf5(io.BytesIO(content))
    assert caught.value.code == "invalid_hdf5_file"


def test_texts_in_chunks_are_read_and_compressed_ones_are_refused(tmp_path: Path) -> None:
    """References in plain chunks can be checked; compressed ones cannot, and the error says what to do."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("t", data=["a", "bc"], maxshape=(None,))
        file.create_dataset("z", data=["a", "bc"], chunks=True, compression="gzip")
        file.create_dataset("never", shape=(3,), dtype=h5py.string_dtype())
    assert read_hdf5(path, ["t", "never"]) == {"t": ["a", "bc"], "never": ["", "", ""]}
    with pytest.raises(DataError, match="compressed texts"):
        read_hdf5(path)


def test_texts_behind_a_user_block_are_read(tmp_path: Path) -> None:
    """Addresses in a file count from where its HDF5 part begins."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["t"] = ["a", "bc"]
    assert read_hdf5(path) == {"t": ["a", "bc"]}


def test_compressed_and_chunked_files_of_others_are_read(tmp_path: Path) -> None:
    """Filters that every h5py has, attributes and fixed-length texts are no obstacle."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", data=np.zeros((300, 300), np.uint8), chunks=True, compression="gzip")
        dataset.attrs["unit"] = "nm"
        file["b"] = np.array([b"x", b"yz"])
    values = read_hdf5(path)
    assert values["a"].shape == (300, 300)
    assert values["b"] == ["x", "yz"]

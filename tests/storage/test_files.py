"""Data files."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from compox_core.errors import DataError, NotFoundError
from compox_core.storage import FILES, FileStore, ObjectStore, initialise, open_store

HOSTILE = ["", ".", "..", "../../etc/passwd", "a/b", "con", "*", "\0", "x" * 5000, "0" * 36, "missing"]
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each local kind."""
    store = open_store("memory://" if request.param == "memory" else tmp_path / "store")
    initialise(store)
    return store


@pytest.fixture
def files(store: ObjectStore) -> FileStore:
    """The files of the store."""
    return FileStore(store)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder that only this test uses."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def hdf5(tmp_path: Path) -> bytes:
    """A small HDF5 file."""
    with h5py.File(tmp_path / "made.h5", "w") as file:
        file["image"] = np.arange(2000).reshape(40, 50)
    return (tmp_path / "made.h5").read_bytes()


def read(path: Path) -> np.ndarray:
    """Return the image in a file."""
    with h5py.File(path, "r") as file:
        return np.asarray(file["image"])


@pytest.mark.parametrize("kind", ["bytes", "path", "stream"])
def test_a_file_is_stored_from_anything(files: FileStore, hdf5: bytes, tmp_path: Path, kind: str) -> None:
    """A path, its content and a stream give the same stored file; the source stays."""
    (tmp_path / "source").write_bytes(hdf5)
    sources: dict[str, object] = {"bytes": hdf5, "path": tmp_path / "source", "stream": io.BytesIO(hdf5)}
    file_id = files.upload(sources[kind])  # type: ignore[arg-type]
    with files.open(file_id) as stream:
        assert stream.read() == hdf5
    info = files.info(file_id)
    assert (info.id, info.size) == (file_id, len(hdf5))
    assert list(files.list()) == [info]
    with files.materialise(file_id) as path:
        assert read(path).shape == (40, 50)
    assert (tmp_path / "source").exists()


def test_adopt_takes_the_file(files: FileStore, store: ObjectStore, hdf5: bytes, tmp_path: Path) -> None:
    """A finished file becomes the stored one, and is gone where it was."""
    for source in (store.scratch(), tmp_path / "elsewhere"):
        source.write_bytes(hdf5)
        file_id = files.adopt(source)
        assert not source.exists()
        assert store.get(FILES, file_id) == hdf5


def test_ids_are_in_order_of_time(files: FileStore, hdf5: bytes) -> None:
    """The list is in the order of the uploads."""
    ids = [files.upload(hdf5) for _ in range(5)]
    assert [info.id for info in files.list()] == ids


def bad_content(hdf5: bytes, kind: str) -> bytes:
    """Return content that is not an HDF5 file."""
    return {"empty": b"", "text": b"not HDF5 " * 100, "start": hdf5[:8], "truncated": hdf5[:-1000]}[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "start", "truncated"])
def test_what_is_not_hdf5_is_refused_and_nothing_stays(
    files: FileStore, store: ObjectStore, hdf5: bytes, temporary: Path, kind: str
) -> None:
    """A file that does not open as HDF5 is refused with its size and reason, and leaves nothing anywhere."""
    content = bad_content(hdf5, kind)
    scratch = store.scratch()
    scratch.write_bytes(content)
    for store_it in (
        lambda: files.upload(content),
        lambda: files.upload(io.BytesIO(content)),
        lambda: files.adopt(scratch),
    ):
        with pytest.raises(DataError) as caught:
            store_it()
        assert caught.value.code == "invalid_hdf5_file"
        assert caught.value.details["size"] == len(content)
    assert not scratch.exists()
    assert list(store.list(FILES)) == []
    assert list(temporary.iterdir()) == []
    assert not scratch.parent.exists() or list(scratch.parent.iterdir()) == []


def test_a_source_that_breaks_leaves_nothing(files: FileStore, store: ObjectStore, temporary: Path) -> None:
    """A stream that fails half-way stores no file, and its error comes out."""

    class Breaking(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        files.upload(Breaking())  # type: ignore[arg-type]
    assert list(store.list(FILES)) == []
    scratch = store.scratch()
    assert not scratch.parent.exists() or list(scratch.parent.iterdir()) == []


@pytest.mark.parametrize("file_id", [UNKNOWN, *HOSTILE])
def test_an_unknown_or_hostile_id_is_not_found(files: FileStore, file_id: str) -> None:
    """Every use of an id that names no file is the same error, and reaches nothing else."""
    uses = [
        lambda: files.open(file_id),
        lambda: files.info(file_id),
        lambda: files.local_path(file_id) or files.info(file_id),
        lambda: files.delete(file_id),
        lambda: files.materialise(file_id).__enter__(),
    ]
    for use in uses:
        with pytest.raises(NotFoundError) as caught:
            use()
        assert caught.value.code == "file_not_found"
        assert caught.value.details == {"file_id": file_id}
    assert files.exists_all([file_id]) == [file_id]


def test_missing_files_are_told_in_order(files: FileStore, hdf5: bytes) -> None:
    """`exists_all` returns what is missing, as it was asked."""
    stored = files.upload(hdf5)
    assert files.exists_all([stored, stored]) == []
    assert files.exists_all([]) == []
    assert files.exists_all(["..", stored, UNKNOWN]) == ["..", UNKNOWN]


def test_a_deleted_file_is_gone(files: FileStore, hdf5: bytes) -> None:
    """A file is deleted once."""
    file_id = files.upload(hdf5)
    files.delete(file_id)
    assert files.exists_all([file_id]) == [file_id]
    with pytest.raises(NotFoundError):
        files.delete(file_id)


def test_a_copy_to_read_from_goes_with_its_block(files: FileStore, hdf5: bytes, temporary: Path) -> None:
    """A path that was made for reading is gone after the block, also when it raises; a stored file stays."""
    file_id = files.upload(hdf5)
    with pytest.raises(ZeroDivisionError), files.materialise(file_id) as path:
        assert path.read_bytes() == hdf5
        raise ZeroDivisionError
    assert path.exists() is (files.local_path(file_id) is not None)
    assert list(temporary.iterdir()) == []
    assert files.exists_all([file_id]) == []


def test_a_file_that_somebody_reads_can_be_opened_by_others(files: FileStore, hdf5: bytes) -> None:
    """Many read one stored file at once; nothing locks it."""
    file_id = files.upload(hdf5)
    with files.materialise(file_id) as one, files.materialise(file_id) as other, h5py.File(one, "r"):
        assert np.array_equal(read(one), read(other))

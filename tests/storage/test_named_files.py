"""Files under names that clients choose, and what is noted of files beside them."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.errors import CompoxError, ConflictError, DataError, InvalidInputError, NotFoundError
from compox_core.identity import new_id, utc_now
from compox_core.storage import FILES, FileStore, ObjectStore, initialise, open_store
from compox_core.storage.expiry import Expiry
from compox_core.storage.file_notes import CONTENTS, HASHES
from compox_core.storage.file_places import NAMED, file_of, is_file_id, named_key, places
from compox_core.storage.keys import is_key

NO_NAMES = ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-a", "a.", "a b", "ä", "con", "nul.txt", "x" * 201, "a\n"]
HOUR = timedelta(hours=1)
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
def hdf5(tmp_path: Path) -> bytes:
    """A small HDF5 file."""
    with h5py.File(tmp_path / "made.h5", "w") as file:
        file["image"] = np.arange(200)
    return (tmp_path / "made.h5").read_bytes()


def keys(store: ObjectStore) -> set[str]:
    """Return all that lies among the files."""
    return {info.key for info in store.list(FILES)}


def put(files: FileStore, name: str, data: bytes) -> Path:
    """Place a file under a name; return where it was."""
    path = files.store.scratch()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    files.place_named(path, name)
    return path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class TestNotes:
    """What is noted of files."""

    def test_a_file_that_came_through_us_is_tagged_by_its_content(self, files: FileStore, hdf5: bytes) -> None:
        """The tag is the SHA-256, whichever way the file came, and the stream is the file."""
        scratch = files.store.scratch()
        scratch.write_bytes(hdf5)
        ids = [files.upload(hdf5), files.adopt(scratch, sha256(hdf5)), files.save({"image": np.arange(200)})]
        for file_id in ids:
            stream, tag = files.open_tagged(file_id)
            with stream:
                assert tag == sha256(stream.read())

    @pytest.mark.parametrize("note", [None, b"", b"not a hash", b"A" * 64, b"\xff" * 64, b"0" * 64 + b"\r\nx: y"])
    def test_a_note_that_is_none_is_passed_over(self, files: FileStore, hdf5: bytes, note: bytes | None) -> None:
        """The tag is another text then, good for a header, and the same each time."""
        file_id = files.upload(hdf5)
        files.store.delete(FILES, HASHES + file_id)
        if note is not None:
            files.store.put(FILES, HASHES + file_id, note)
        tags = []
        for _ in range(2):
            stream, tag = files.open_tagged(file_id)
            stream.close()
            tags.append(tag)
        assert tags[0] == tags[1] != sha256(hdf5)
        assert tags[0].startswith(file_id) and tags[0].isascii() and tags[0].isprintable()

    def test_known_content_is_stored_once_more(self, files: FileStore, store: ObjectStore, hdf5: bytes) -> None:
        """Under an id of its own, with a tag, and it outlives the first one."""
        scratch = store.scratch()
        scratch.write_bytes(hdf5)
        first = files.adopt(scratch, sha256(hdf5), noted=True)
        second = files.again(sha256(hdf5))
        assert second is not None and second > first
        files.delete(first)
        third = files.again(sha256(hdf5))
        assert third is not None, "the younger one is noted"
        for file_id in (second, third):
            stream, tag = files.open_tagged(file_id)
            with stream:
                assert (stream.read(), tag) == (hdf5, sha256(hdf5))
        assert [info.id for info in files.list()] == [second, third]

    def test_content_is_known_only_where_that_is_noted(self, files: FileStore, hdf5: bytes) -> None:
        """A file whose hash no client said is not found by it."""
        files.upload(hdf5)
        assert files.again(sha256(hdf5)) is None
        assert len(list(files.list())) == 1

    @pytest.mark.parametrize("note", [b"", b"\xff", b"../../etc/passwd", b"v1/mine", UNKNOWN.encode(), b"x" * 5000])
    def test_a_note_of_nothing_is_no_known_content(self, files: FileStore, store: ObjectStore, note: bytes) -> None:
        """Neither what is broken nor what names a file that is gone, or one that nobody has looked at."""
        put(files, "mine", b"anything")
        store.put(FILES, CONTENTS + sha256(b""), note)
        before = keys(store)
        assert files.again(sha256(b"")) is None
        assert keys(store) == before

    def test_content_that_goes_meanwhile_is_not_known(
        self, files: FileStore, store: ObjectStore, hdf5: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look at it and the copy."""
        scratch = store.scratch()
        scratch.write_bytes(hdf5)
        file_id = files.adopt(scratch, sha256(hdf5), noted=True)
        copy = store.copy

        def late(collection: str, source: str, target: str) -> None:
            store.delete(FILES, file_id)
            copy(collection, source, target)

        monkeypatch.setattr(store, "copy", late)
        assert files.again(sha256(hdf5)) is None
        assert list(files.list()) == []

    def test_a_deleted_file_takes_its_note_with_it(self, files: FileStore, store: ObjectStore, hdf5: bytes) -> None:
        """That of its content may mean another file by now: it stays, and does no harm."""
        scratch = store.scratch()
        scratch.write_bytes(hdf5)
        file_id = files.adopt(scratch, sha256(hdf5), noted=True)
        other = files.upload(hdf5)
        files.delete(file_id)
        assert keys(store) == {other, HASHES + other, CONTENTS + sha256(hdf5)}
        assert files.again(sha256(hdf5)) is None


class TestNames:
    """Files that clients name."""

    @pytest.mark.parametrize("name", ["a", "image_1.h5", "9-x..y", "x" * 200, UNKNOWN, "con1", "sha256"])
    def test_a_file_has_the_name_that_its_client_chose(self, files: FileStore, store: ObjectStore, name: str) -> None:
        """It is taken over as it is, HDF5 or not, and is then used by that name like any other."""
        path = put(files, name, b"anything at all")
        assert not path.exists()
        assert keys(store) == {NAMED + name}
        assert files.exists_all([name, "other"]) == ["other"]
        assert (files.info(name).id, files.info(name).size) == (name, 15)
        with files.open(name) as stream:
            assert stream.read() == b"anything at all"
        with files.materialise(name) as local:
            assert local.read_bytes() == b"anything at all"
        files.delete(name)
        assert keys(store) == set()
        with pytest.raises(NotFoundError):
            files.delete(name)

    @pytest.mark.parametrize("name", NO_NAMES)
    def test_what_is_no_name_is_refused(self, files: FileStore, store: ObjectStore, name: str) -> None:
        """With a code of its own, before and after the file was sent, which is gone then."""
        path = store.scratch()
        path.write_bytes(b"1")
        for use in (
            lambda: files.check_name(name),
            lambda: files.place_named(path, name),
            lambda: files.presigned(name, "PUT", 60),
        ):
            with pytest.raises(InvalidInputError) as caught:
                use()
            assert caught.value.code == "invalid_file_name"
            assert caught.value.details == {"object_name": name[:200]}
        assert not path.exists()
        assert keys(store) == set()

    def test_a_name_is_taken_once(self, files: FileStore, store: ObjectStore, hdf5: bytes) -> None:
        """By a file of that name, or one that has it for its id; what is there stays as it is."""
        file_id = files.upload(hdf5)
        put(files, "mine", b"first")
        before = keys(store)
        for name in ("mine", file_id):
            with pytest.raises(ConflictError) as caught:
                files.check_name(name)
            assert (caught.value.code, caught.value.details) == ("file_exists", {"object_name": name})
            with pytest.raises(ConflictError) as caught:
                put(files, name, b"second")
            assert caught.value.code == "file_exists"
        assert keys(store) == before
        assert store.get(FILES, "v1/mine") == b"first"

    def test_of_many_that_put_one_name_one_succeeds(self, files: FileStore, store: ObjectStore) -> None:
        """Also where all of them were told that the name is free."""
        barrier = threading.Barrier(8)

        def race(number: int) -> bytes | None:
            files.check_name("mine")
            barrier.wait()
            try:
                put(files, "mine", bytes([number]))
            except ConflictError as error:
                assert error.code == "file_exists"
                return None
            return bytes([number])

        with ThreadPoolExecutor(8) as pool:
            won = [data for data in pool.map(race, range(8)) if data is not None]
        assert won == [store.get(FILES, "v1/mine")]

    def test_the_tag_of_a_named_file_tells_its_versions_apart(self, files: FileStore) -> None:
        """A file that was deleted and put anew has another one, also of the same size; a file of no name has none."""
        tags = set()
        for content in (b"one", b"two", b"one"):
            put(files, "mine", content)
            for _ in range(2):
                stream, tag = files.open_tagged("mine")
                with stream:
                    assert stream.read() == content
            tags.add(tag)
            files.delete("mine")
        assert len(tags) == 3
        assert all(tag.startswith("mine-3-") for tag in tags)
        with pytest.raises(NotFoundError) as caught:
            files.open_tagged("mine")
        assert caught.value.code == "file_not_found"

    def test_a_name_that_was_an_id_has_no_old_note(self, files: FileStore, store: ObjectStore, hdf5: bytes) -> None:
        """What a sweep left noted of a file that had this id is not said of the file that has the name."""
        file_id = files.upload(hdf5)
        store.delete(FILES, file_id)
        put(files, file_id, b"other")
        stream, tag = files.open_tagged(file_id)
        stream.close()
        assert tag != sha256(hdf5)

    def test_what_nobody_looked_at_is_looked_at_when_it_is_needed(self, files: FileStore, hdf5: bytes) -> None:
        """Missing files are told in their order; the first named one that is no HDF5 is refused by its name."""
        put(files, "good", hdf5)
        put(files, "bad", hdf5[:-100])
        put(files, "empty", b"")
        file_id, gone = files.upload(hdf5), new_id()
        assert files.ready([file_id, "good", file_id]) == []
        assert files.ready([gone, "good", "..", "nothing"]) == [gone, "..", "nothing"]
        for name in ("bad", "empty"):
            with pytest.raises(DataError) as caught:
                files.ready([file_id, "good", name])
            assert caught.value.code == "invalid_hdf5_file"
            assert caught.value.details["file_id"] == name
            assert name in caught.value.message

    def test_a_named_file_is_in_danger_like_any(self, files: FileStore, store: ObjectStore, hdf5: bytes) -> None:
        """While a sweep may take it; what is no name was never safe."""
        put(files, "mine", hdf5)
        assert files.endangered(["mine", "other", "..", ""]) == ["other", "..", ""]
        with Expiry(store).announced(utc_now() + HOUR):
            assert files.endangered(["mine"]) == ["mine"]
        with Expiry(store).announced(utc_now() - HOUR):
            assert files.endangered(["mine"]) == []

    def test_no_place_here_signs_urls(self, files: FileStore, hdf5: bytes) -> None:
        """None for a file that is there and for a name that is free; a file that is missing is told."""
        file_id = files.upload(hdf5)
        assert files.presigned(file_id, "GET", 60) is None
        assert files.presigned("mine", "PUT", 60) is None
        for name in ("mine", "..", new_id()):
            with pytest.raises(NotFoundError) as caught:
                files.presigned(name, "GET", 60)
            assert caught.value.code == "file_not_found"


@given(st.text(max_size=300) | st.text("aZ0._-/\\", max_size=8) | st.uuids().map(str))
def test_a_name_leads_to_one_place_below_the_folder_of_names(name: str) -> None:
    """Whatever it is: it is refused everywhere, or its key is well-formed, leads back to it, and means it alone."""
    assert all(is_key(key) and file_of(key) == name for key in places(name))
    assert (name in places(name)) is is_file_id(name)
    try:
        key = named_key(name)
    except CompoxError:
        assert all(not key.startswith(NAMED) for key in places(name))
    else:
        assert key == NAMED + name
        assert places(name)[-1] == key


def test_many_files_cost_one_look_at_the_sweeps(files: FileStore, hdf5: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a run names; those that lie under names of clients cost one more, for all of them."""
    own = [files.upload(hdf5) for _ in range(5)]
    for name in ("one", "two"):
        files.store.put(FILES, named_key(name), hdf5)
    looks: list[str] = []
    listed = files.store.list

    def count(collection: str, prefix: str = "") -> object:
        looks.append(f"{collection}/{prefix}")
        return listed(collection, prefix)

    monkeypatch.setattr(files.store, "list", count)
    assert files.endangered(own) == []
    assert looks == ["system-store/sweeps"]
    looks.clear()
    named = new_id()
    files.store.put(FILES, named_key(named), hdf5)
    assert files.endangered([*own, "one", named, "two", UNKNOWN]) == [UNKNOWN]
    assert looks == ["system-store/sweeps"] * 2

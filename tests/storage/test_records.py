"""Typed records."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from compox_core.storage import EXECUTIONS, ObjectStore, RecordStore, open_store


class Note(BaseModel):
    """A record for these tests."""

    text: str
    size: int = 0
    made: datetime | None = None


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each local kind."""
    return open_store("memory://" if request.param == "memory" else tmp_path)


@pytest.fixture
def notes(store: ObjectStore) -> RecordStore[Note]:
    """Notes in the store."""
    return RecordStore(store, EXECUTIONS, Note)


def test_a_record_comes_back_as_it_was_saved(notes: RecordStore[Note], store: ObjectStore) -> None:
    """A record is JSON in the store, and the same model when it is loaded."""
    note = Note(text="grüße", size=3, made=datetime(2026, 1, 2, tzinfo=UTC))
    notes.save("a", note)
    assert notes.load("a") == note
    assert store.get(EXECUTIONS, "a") == '{"text":"grüße","size":3,"made":"2026-01-02T00:00:00Z"}'.encode()


def test_create_is_exclusive_and_save_replaces(notes: RecordStore[Note]) -> None:
    """Two creators of one id do not overwrite each other; a save does."""
    notes.create("a", Note(text="first"))
    with pytest.raises(ConflictError):
        notes.create("a", Note(text="second"))
    notes.save("a", Note(text="third"))
    assert notes.load("a").text == "third"
    assert notes.delete("a") is True
    assert notes.delete("a") is False


@pytest.mark.parametrize("record_id", ["missing", "", "../../etc/passwd", "a\0", "x" * 5000])
def test_an_unknown_id_is_not_found(notes: RecordStore[Note], record_id: str) -> None:
    """No record, and no place where none can be, read the same."""
    with pytest.raises(NotFoundError) as caught:
        notes.load(record_id)
    assert caught.value.code == "record_not_found"
    assert caught.value.details == {"collection": EXECUTIONS, "id": record_id}


def test_an_ill_formed_id_is_not_written(notes: RecordStore[Note]) -> None:
    """A record cannot be saved outside its collection."""
    with pytest.raises(InvalidInputError):
        notes.save("../a", Note(text=""))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"size": 1}', b'{"text": "a", "size": "x"}', b"\xff"])
def test_a_broken_record_is_named(notes: RecordStore[Note], store: ObjectStore, content: bytes) -> None:
    """Content that is not such a record is an error that says which record and what is wrong."""
    store.put(EXECUTIONS, "broken", content)
    with pytest.raises(StorageError, match="broken") as caught:
        notes.load("broken")
    assert caught.value.code == "invalid_record"
    assert caught.value.details["id"] == "broken"
    assert caught.value.details["issues"]


def test_a_list_survives_a_broken_record(
    notes: RecordStore[Note], store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad record is logged and left out; the others are listed in order of id."""
    for name in ("b", "a", "c/1", "c/2"):
        notes.save(name, Note(text=name))
    store.put(EXECUTIONS, "bad", b"{")
    with caplog.at_level(logging.WARNING):
        assert [note.text for note in notes.list()] == ["a", "b", "c/1", "c/2"]
    assert "'bad'" in caplog.text
    assert [note.text for note in notes.list("c/")] == ["c/1", "c/2"]
    assert list(notes.ids()) == ["a", "b", "bad", "c/1", "c/2"]


def test_a_list_leaves_out_what_is_deleted_meanwhile(notes: RecordStore[Note]) -> None:
    """A record that goes between listing and reading is no error."""
    for name in ("a", "b", "c"):
        notes.save(name, Note(text=name))
    listing = notes.list()
    assert next(listing).text == "a"
    notes.delete("b")
    assert [note.text for note in listing] == ["c"]

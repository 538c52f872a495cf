"""Samples of data files, and the files that they hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from compox_core.data import write_hdf5
from compox_core.errors import ConflictError, DataError, NotFoundError, StorageError
from compox_core.identity import new_id, utc_now
from compox_core.records import SampleRecord, SampleRequest
from compox_core.storage import FILES, SAMPLES, SYSTEM, FileStore, ObjectStore, open_store
from compox_core.storage.file_pins import PINNED, FilePins
from compox_core.training.samples import RECORDS, SampleStore
from tests.algorithms.conftest import any_store, store
from tests.algorithms.steps import Hooked
from tests.disks import SmallDisk

__all__ = ["any_store", "store"]  # fixtures

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
HOSTILE = ["", ".", "..", "../../etc/passwd", "a/b", "con", "*", "\0", "x" * 5000, "0" * 36, f"{{{UNKNOWN}}}"]


def samples(store: ObjectStore) -> SampleStore:
    return SampleStore(store, FileStore(store))


def file(store: ObjectStore) -> str:
    return FileStore(store).save({"value": 1})


def named(store: ObjectStore, name: str, content: bytes | None = None) -> str:
    """Put a file under a name of a client's own; HDF5 unless other content is given."""
    path = store.scratch()
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        write_hdf5(path, {"value": 1})
    else:
        path.write_bytes(content)
    FileStore(store).place_named(path, name)
    return name


def create(store: ObjectStore, *groups: dict[str, list[str]], tags: tuple[str, ...] = ()) -> SampleRecord:
    return samples(store).create(SampleRequest(files=list(groups), tags=list(tags)))


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(SAMPLES, prefix)]


def damage(store: ObjectStore, sample_id: str, content: bytes = b"{") -> None:
    store.put(SAMPLES, RECORDS + sample_id, content)


def test_a_sample_is_stored_and_found(any_store: ObjectStore) -> None:
    """It has the files as they were given and normalised tags, is listed, and holds each of its files once."""
    a, b, c = (file(any_store) for _ in range(3))
    before = utc_now()
    assert samples(any_store).is_empty()
    record = create(
        any_store, {"input": [a, b], "target": [c]}, {"input": [a], "target": []}, tags=(" Cell ", "cell", "")
    )
    assert (record.files, record.tags) == ([{"input": [a, b], "target": [c]}, {"input": [a], "target": []}], ["cell"])
    assert before <= record.time_created <= utc_now()
    assert samples(any_store).get(record.sample_id) == record
    assert samples(any_store).list() == [record]
    assert not samples(any_store).is_empty()
    pins = FilePins(any_store)
    assert pins.pinned() == {a, b, c}
    assert [pins.holders(each) for each in (a, b, c)] == [[record.sample_id]] * 3
    assert sorted(pins.held_by(record.sample_id)) == sorted([a, b, c])


def test_missing_files_are_all_named(any_store: ObjectStore) -> None:
    """A sample of files that are not there is refused, and leaves nothing."""
    there, missing = file(any_store), [new_id(), new_id(), "mine.h5"]
    with pytest.raises(NotFoundError) as caught:
        create(any_store, {"input": [missing[0], there, *missing[1:]]})
    assert (caught.value.code, caught.value.details) == ("sample_input_files_not_found", {"file_ids": missing})
    assert keys(any_store) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_what_can_name_no_file_is_not_found(store: ObjectStore, name: str) -> None:
    """Whatever a client gives for the name of a file; no pin is tried, and nobody holds it."""
    with pytest.raises(NotFoundError, match="do not exist"):
        create(store, {"input": [file(store), name]})
    assert keys(store) == []
    assert FilePins(store).holders(name) == []


def test_files_that_clients_named_can_be_in_samples(any_store: ObjectStore) -> None:
    """They are looked at first: what is no HDF5 is refused."""
    record = create(any_store, {"input": [named(any_store, "mine.h5")]})
    assert FilePins(any_store).holders("mine.h5") == [record.sample_id]
    with pytest.raises(ConflictError):
        FileStore(any_store).delete("mine.h5")
    with pytest.raises(DataError) as caught:
        create(any_store, {"input": [named(any_store, "other.h5", b"text")]})
    assert caught.value.code == "invalid_hdf5_file"
    assert FilePins(any_store).pinned() == {"mine.h5"}


@pytest.mark.parametrize("sample_id", [*HOSTILE, "\ud800", UNKNOWN])
def test_an_unknown_sample_is_not_found(store: ObjectStore, sample_id: str) -> None:
    """Only ids of ours are looked up."""
    create(store, {"input": [file(store)]})
    for ask in (samples(store).get, samples(store).delete):
        with pytest.raises(NotFoundError) as caught:
            ask(sample_id)
        assert caught.value.code == "sample_not_found"


def test_the_id_of_a_sample_is_taken_as_it_is_written(store: ObjectStore) -> None:
    """The same in capitals is another, also where file names do not differ by case."""
    record = create(store, {"input": [file(store)]})
    with pytest.raises(NotFoundError):
        samples(store).get(record.sample_id.upper())


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"sample_id": "x"}', b"\xff"])
def test_a_broken_sample(any_store: ObjectStore, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """It cannot be read, is left out of lists with a warning, and can be deleted; then nothing holds its files."""
    good, broken = create(any_store, {"input": [file(any_store)]}), create(any_store, {"input": [file(any_store)]})
    damage(any_store, broken.sample_id, content)
    with pytest.raises(StorageError) as caught:
        samples(any_store).get(broken.sample_id)
    assert caught.value.code == "invalid_sample_record"
    with pytest.raises(StorageError, match="cannot be read"):
        samples(any_store).get_many([good.sample_id, broken.sample_id])
    with caplog.at_level(logging.WARNING):
        assert samples(any_store).list() == [good]
    assert broken.sample_id in caplog.text
    samples(any_store).delete(broken.sample_id)
    assert FilePins(any_store).pinned() == set(good.file_ids)
    FileStore(any_store).delete(broken.file_ids[0])


@pytest.mark.parametrize("change", [{"sample_id": UNKNOWN}, {"files": []}])
def test_a_record_that_is_not_that_of_the_sample_is_broken(store: ObjectStore, change: dict[str, Any]) -> None:
    """Another's, or one without files."""
    record = create(store, {"input": [file(store)]})
    damage(store, record.sample_id, record.model_copy(update=change).model_dump_json().encode())
    with pytest.raises(StorageError) as caught:
        samples(store).get(record.sample_id)
    assert caught.value.code == "invalid_sample_record"


@pytest.mark.parametrize(
    ("positive", "negative", "found"),
    [
        ((), (), [0, 1, 2]),
        (("A",), (), [0, 1]),
        ((" a ", "B"), (), [1]),
        ((), ("b",), [0, 2]),
        (("a",), ("B ",), [0]),
        (("a",), ("a",), []),
        (("x",), (), []),
        (("",), (" ",), [0, 1, 2]),
    ],
)
def test_samples_are_listed_by_tags(
    store: ObjectStore, positive: tuple[str, ...], negative: tuple[str, ...], found: list[int]
) -> None:
    """All of the positive ones and none of the negative ones, in any case, oldest first."""
    made = [create(store, {"input": [file(store)]}, tags=tags) for tags in (("A",), ("a", "b"), ())]
    assert samples(store).list(positive, negative) == [made[number] for number in found]


def test_many_samples_are_read_in_the_order_that_was_asked(any_store: ObjectStore) -> None:
    """Also one that is asked for twice; those that are not there are all named."""
    shared = file(any_store)
    made = [create(any_store, {"input": [shared]}) for _ in range(3)]
    ids = [record.sample_id for record in made]
    assert samples(any_store).get_many([ids[2], ids[0], ids[2]]) == [made[2], made[0], made[2]]
    assert samples(any_store).get_many([]) == []
    unknown = [new_id(), "../x", new_id()]
    with pytest.raises(NotFoundError) as caught:
        samples(any_store).get_many([unknown[0], ids[0], *unknown[1:], unknown[0]])
    assert (caught.value.code, caught.value.details) == ("input_samples_not_found", {"missing_sample_ids": unknown})


def test_there_may_be_more_than_a_thousand(store: ObjectStore) -> None:
    """Of samples, which are listed and read whole, and of files in one, which are held and let go whole."""
    one = file(store)
    made = [create(store, {"input": [one]}) for _ in range(1010)]
    assert samples(store).list() == made
    assert samples(store).get_many([record.sample_id for record in made]) == made
    assert FilePins(store).holders(one) == [record.sample_id for record in made]
    many = [new_id() for _ in range(1010)]
    for file_id in many:
        store.put(FILES, file_id, b"data")
    large = create(store, {"input": many})
    assert FilePins(store).pinned() == {one, *many}
    store.delete(FILES, many[500])
    assert samples(store).missing_files([large, made[0]]) == [many[500]]
    samples(store).delete(large.sample_id)
    assert FilePins(store).pinned() == {one}
    with pytest.raises(NotFoundError) as caught:
        create(store, {"input": many})
    assert caught.value.details == {"file_ids": [many[500]]}


def test_a_sample_whose_file_is_gone_can_be_read_and_deleted(any_store: ObjectStore) -> None:
    """It says what is gone; a deleted sample is not found any more, and holds nothing."""
    gone, there = file(any_store), file(any_store)
    record = create(any_store, {"input": [gone], "target": [there]})
    any_store.delete(FILES, gone)
    assert samples(any_store).get(record.sample_id) == record
    assert samples(any_store).missing_files([record]) == [gone]
    with pytest.raises(NotFoundError):
        FileStore(any_store).delete(gone)
    samples(any_store).delete(record.sample_id)
    assert keys(any_store) == []
    with pytest.raises(NotFoundError) as caught:
        samples(any_store).delete(record.sample_id)
    assert (caught.value.code, caught.value.details) == ("sample_not_found", {"sample_id": record.sample_id})


def test_a_file_that_samples_use_is_not_deleted(any_store: ObjectStore) -> None:
    """The refusal names the samples, leaves the file usable, and ends with the last of them."""
    used = file(any_store)
    made = [create(any_store, {"input": [used]}).sample_id for _ in range(5)]
    with pytest.raises(ConflictError) as caught:
        FileStore(any_store).delete(used)
    assert (caught.value.code, caught.value.details) == ("file_in_use", {"file_id": used, "sample_ids": made})
    assert "5 training samples" in caught.value.message
    assert all(name in caught.value.message for name in made[:3])
    assert "2 more" in caught.value.message
    assert FileStore(any_store).endangered([used]) == []
    for sample_id in made:
        samples(any_store).delete(sample_id)
    FileStore(any_store).delete(used)
    assert FileStore(any_store).exists_all([used]) == [used]
    assert list(any_store.list(SYSTEM, "sweeps")) == []


def test_what_nobody_was_told_of_is_removed_without_a_look_at_samples(store: ObjectStore) -> None:
    """Nobody can use it."""
    file_id, asked = file(store), []

    def note(name: str, action: Callable[[], Any]) -> Any:
        asked.append(name)
        return action()

    FileStore(Hooked(store, note)).discard(file_id)
    assert [name for name in asked if SAMPLES in name or SYSTEM in name] == []
    assert list(store.list(FILES)) == []
    with pytest.raises(NotFoundError):
        FileStore(store).discard(file_id)


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("what", [PINNED, RECORDS])
def test_a_store_that_fails_keeps_nothing_of_the_sample(store: ObjectStore, what: str, lost: bool) -> None:
    """Whether the write was refused, or done and its answer lost."""
    a, b = file(store), file(store)

    def fail(name: str, action: Callable[[], Any]) -> Any:
        if name.startswith(f"put {SAMPLES}/{what}") and (what == RECORDS or b in name):
            if lost:
                action()
            raise StorageError("refused")
        return action()

    with pytest.raises(StorageError, match="refused"):
        create(Hooked(store, fail), {"input": [a, b]})
    assert keys(store) == []


def test_pins_stay_while_there_may_be_a_record(store: ObjectStore) -> None:
    """Where the store does not say whether the record is gone."""
    a = file(store)

    def fail(name: str, action: Callable[[], Any]) -> Any:
        if f"{SAMPLES}/{RECORDS}" in name:
            if name.startswith("put"):
                action()
            raise StorageError("refused")
        return action()

    with pytest.raises(StorageError, match="refused"):
        create(Hooked(store, fail), {"input": [a]})
    assert FilePins(store).pinned() == {a}


def test_a_deletion_that_died_stands_in_the_way_of_its_file_alone(store: ObjectStore) -> None:
    """What it announced may go at any time; other files are as safe as before."""
    doomed, other = file(store), file(store)

    def die(name: str, action: Callable[[], Any]) -> Any:
        if name == f"delete {FILES}/{doomed}":
            raise StorageError("the answer was lost", retryable=True)
        return action()

    with pytest.raises(StorageError):
        FileStore(Hooked(store, die)).delete(doomed)
    with pytest.raises(NotFoundError):
        create(store, {"input": [doomed]})
    create(store, {"input": [other]})
    assert FilePins(store).pinned() == {other}


def test_a_full_disk_can_be_cleared(small_disk: SmallDisk) -> None:
    """Samples and files can be deleted where there is no room for anything, and a file in use is still refused."""
    with open_store(small_disk.path / "store") as store:
        store.ensure_collections()
        used, free = file(store), file(store)
        record = create(store, {"input": [used]})
        small_disk.fill()
        with pytest.raises(StorageError) as caught:
            store.put(SYSTEM, "any", b"data")
        assert caught.value.code == "disk_full"
        FileStore(store).delete(free)
        with pytest.raises(ConflictError):
            FileStore(store).delete(used)
        small_disk.fill()
        samples(store).delete(record.sample_id)
        FileStore(store).delete(used)
        assert list(store.list(FILES)) == keys(store) == []

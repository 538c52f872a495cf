"""What is noted of files goes with them, files that clients named expire like all, and so do ids of submits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from compox_core.data import write_hdf5
from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.jobs.retention import Report, Retention
from compox_core.records import JobKind
from compox_core.settings.models import Storage
from compox_core.storage import FILES, SYSTEM, FileStore, ObjectStore
from compox_core.storage.collections import SUBMITS
from compox_core.storage.file_notes import CONTENTS, HASHES
from compox_core.tasks import TaskStore
from tests.algorithms.conftest import opened
from tests.algorithms.steps import Hooked
from tests.jobs.aged import ME, ended, everything, make_all_old, make_old, own_machine, submitted

DAY = timedelta(days=1)
HASH = "ab" * 32


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files and a module cache of this test's own."""
    return own_machine(tmp_path, monkeypatch)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A local store, in which objects can be made old."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture(params=["memory", "folder", *(pytest.param(name, marks=pytest.mark.s3) for name in ("moto", "ceph"))])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of every kind."""
    yield from opened(request.param, tmp_path / "store", request)


def uploaded(store: ObjectStore, sha256: str | None = None) -> str:
    """Upload a file, of which a client may have told the hash; return its id."""
    path = store.scratch()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_hdf5(path, {"value": 1})
    return FileStore(store).adopt(path, sha256 or "0" * 64, noted=sha256 is not None)


def named(store: ObjectStore, name: str) -> str:
    """Put a file under a name of a client's own; return the name."""
    path = store.scratch()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"content")
    FileStore(store).place_named(path, name)
    return name


def keys(store: ObjectStore) -> set[str]:
    return {info.key for info in store.list(FILES)}


def sweep(store: ObjectStore, later: timedelta = timedelta(), pinned: tuple[str, ...] = ()) -> Report:
    """Sweep as if it were so much later; a dry run before it changes nothing and tells the same."""
    retention = Retention(store, Storage(), pins=[lambda: pinned], now=lambda: utc_now() + later)
    before = everything(store)
    told = retention.sweep(dry_run=True)
    assert everything(store) == before
    done = retention.sweep()
    assert told == Report(True, done.removed, done.kept, done.problems)
    return done


def told(report: Report) -> dict[str, int]:
    return {each.what: each.count for each in report.removed}


def test_a_file_and_its_note_go_as_one_thing(any_store: ObjectStore) -> None:
    """They are counted once, with the bytes of both; a file that a client named has no note."""
    uploaded(any_store)
    named(any_store, "mine.h5")
    size = sum(info.size for info in any_store.list(FILES))
    assert sweep(any_store, 0.9 * DAY).count == 0
    report = sweep(any_store, 1.1 * DAY)
    assert (told(report), report.count, report.bytes) == ({"expired files": 2}, 2, size)
    assert keys(any_store) == set()


def test_what_is_noted_of_contents_goes_on_a_line_of_its_own(any_store: ObjectStore) -> None:
    """No file belongs to it alone."""
    uploaded(any_store, HASH)
    report = sweep(any_store, 1.1 * DAY)
    assert told(report) == {"expired files": 1, "notes about files": 1}
    assert report.count == 2
    assert keys(any_store) == set()


@pytest.mark.parametrize("why", ["pinned", "waits", "given lately"])
def test_a_file_that_is_needed_keeps_its_note(store: ObjectStore, why: str) -> None:
    """However old both are; the file is told as kept, once."""
    file_id = uploaded(store)
    if why == "waits":
        submitted(store, [file_id])
    elif why == "given lately":
        record = submitted(store, [], task_id="01800000-0000-7000-8000-000000000000")
        ended(store, record, [file_id])
    for key in (file_id, HASHES + file_id):
        make_old(store, FILES, key, 30 * DAY)
    report = sweep(store, pinned=(file_id,) if why == "pinned" else ())
    assert (report.count, [each.count for each in report.kept]) == (0, [1])
    assert keys(store) == {file_id, HASHES + file_id}


def test_a_young_file_keeps_an_old_note(store: ObjectStore) -> None:
    """A copy may have made the file young, as on a disk where both are one."""
    file_id = uploaded(store)
    make_old(store, FILES, HASHES + file_id, 30 * DAY)
    assert sweep(store).count == 0
    assert keys(store) == {file_id, HASHES + file_id}


def test_an_old_file_takes_a_young_note_with_it(store: ObjectStore) -> None:
    """Which was written a moment later: the next sweep would find a note of nothing."""
    file_id = uploaded(store)
    make_old(store, FILES, file_id, 2 * DAY)
    assert told(sweep(store)) == {"expired files": 1}
    assert keys(store) == set()


def test_a_note_of_nothing_goes_with_its_age(store: ObjectStore) -> None:
    """A deletion that broke off may have left it; a young one may be that of an upload that goes on."""
    young, old = HASHES + new_id(), HASHES + new_id()
    for key in (young, old):
        store.put(FILES, key, b"0" * 64)
    make_old(store, FILES, old, 2 * DAY)
    assert told(sweep(store)) == {"notes about files": 1}
    assert keys(store) == {young}


def test_a_copy_of_known_content_lives_on(store: ObjectStore) -> None:
    """It is as young as an upload, although the content is old; on a disk the old one is as young then."""
    first = uploaded(store, HASH)
    make_all_old(store, 2 * DAY)
    second = FileStore(store).again(HASH)
    assert second is not None
    sweep(store)
    assert FileStore(store).exists_all([second]) == []
    stream, tag = FileStore(store).open_tagged(second)
    stream.close()
    assert tag == HASH
    assert FileStore(store).again(HASH) is not None
    assert sweep(store, 1.1 * DAY).count >= 3
    assert keys(store) == set(), first


def test_a_named_file_stays_while_a_job_names_it(any_store: ObjectStore) -> None:
    """Like any input: it goes when the job has ended."""
    record = submitted(any_store, [named(any_store, "mine.h5")])
    named(any_store, "other.h5")
    report = sweep(any_store, 3 * DAY)
    assert (told(report), keys(any_store)) == ({"expired files": 1}, {"v1/mine.h5"})
    assert [each.why for each in report.kept] == ["a job that has not ended names it"]
    tasks = TaskStore(any_store, JobKind.EXECUTION)
    assert tasks.claim(record.task_id, 1, ME)
    tasks.close(record)
    assert sweep(any_store, 3 * DAY).count == 1
    assert keys(any_store) == set()


def test_a_note_that_refuses_keeps_its_file(store: ObjectStore) -> None:
    """Both are tried again by the next sweep; other files go."""
    one, other = uploaded(store), uploaded(store)
    make_all_old(store, 2 * DAY)

    def refuse(name: str, action: object) -> object:
        if name == f"delete {FILES}/{HASHES}{one}":
            raise StorageError("no permission", code="storage_access_denied")
        return action()  # type: ignore[operator]

    report = Retention(Hooked(store, refuse), Storage()).sweep()
    assert (report.count, report.problems) == (1, ("no permission",))
    assert keys(store) == {one, HASHES + one}
    assert told(sweep(store)) == {"expired files": 1}
    assert other not in keys(store)


def test_ids_of_submits_expire_with_the_records(any_store: ObjectStore) -> None:
    """As old as records of executions may become, and no sooner."""
    any_store.put(SYSTEM, f"{SUBMITS}{HASH}", b"{}")
    assert sweep(any_store, 29 * DAY).count == 0
    assert told(sweep(any_store, 31 * DAY)) == {"ids of submits": 1}
    assert [info.key for info in any_store.list(SYSTEM, SUBMITS)] == []


def test_notes_are_no_files(store: ObjectStore) -> None:
    """A list of files has files only, each once, those with ids of ours."""
    file_id = uploaded(store, HASH)
    named(store, "mine.h5")
    assert [info.id for info in FileStore(store).list()] == [file_id]
    assert keys(store) == {file_id, HASHES + file_id, CONTENTS + HASH, "v1/mine.h5"}

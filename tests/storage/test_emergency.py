"""Ends of jobs that the store refused, in files of this machine."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from compox_core.errors import StorageError
from compox_core.storage import BENCHMARKS, DEPLOYS, EXECUTIONS, EmergencyRecords
from compox_core.storage.kept import LOST
from compox_core.storage.reserve import MIB
from tests.disks import SmallDisk

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
STORE = "/data/store (a0c1)"
REFUSED = StorageError("Cannot write x: the disk is full.", code="disk_full", retryable=True)
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no owners and modes like these")


def holder(name: str) -> dict[str, Any]:
    return {"incarnation": name, "host": "h", "pid": 12, "started": "34"}


def records(
    *folders: Path,
    name: str = "me",
    store: str = STORE,
    alive: Callable[[Mapping[str, Any]], bool | None] | None = None,
) -> EmergencyRecords:
    """The emergency records of a process called `name`; all others are gone, where nothing else is said."""
    return EmergencyRecords(folders, store, holder(name), alive or (lambda other: False))


def fields(status: str = "COMPLETED", log: str = "2026-01-01T00:00:00Z INFO done\n") -> dict[str, Any]:
    return {"execution_id": ID, "status": status, "progress": 1.0, "log": log, "error": None, "attempt": 1}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def file_of(folder: Path, collection: str = EXECUTIONS, record_id: str = ID) -> Path:
    return folder / collection / f"compox_emergency_{record_id}.json"


def marks(path: Path) -> tuple[int, ...]:
    """What changes when somebody writes or replaces a file."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place for emergency records that is not there yet."""
    return tmp_path / "logs" / "compox_emergency_records"


# What is kept


def test_a_file_holds_the_record_and_why_it_is_here(folder: Path) -> None:
    """The file has the fields of the record as they are, and beside them what the store said and whose it is."""
    assert records(folder).keep(EXECUTIONS, ID, fields(), REFUSED, 2)
    text = file_of(folder).read_text()
    assert text.startswith('{\n    "execution_id"')
    assert json.loads(text) == {
        **fields(),
        "_emergency_storage_error": "Cannot write x: the disk is full.",
        "_emergency_storage_error_code": "disk_full",
        "_emergency_storage_retryable": True,
        "_emergency_store": STORE,
        "_emergency_holder": holder("me"),
        "_emergency_attempt": 2,
    }
    assert names(folder) == {f"{EXECUTIONS}/compox_emergency_{ID}.json"}


def test_an_error_of_the_system_has_its_class_as_code(folder: Path) -> None:
    """What is no StorageError is kept under the name of its class, as one that will not pass."""
    records(folder).keep(EXECUTIONS, ID, fields(), ValueError("odd"), 1)
    content = json.loads(file_of(folder).read_text())
    assert content["_emergency_storage_error_code"] == "ValueError"
    assert content["_emergency_storage_retryable"] is False


def test_what_is_kept_can_be_read(folder: Path) -> None:
    """The record comes back without what was added, for every process of this store; for others it is not there."""
    records(folder).keep(BENCHMARKS, ID, {"benchmark_id": ID, "data": {"seconds": [1.5]}}, REFUSED, 3)
    for reader in (records(folder), records(folder, name="other", alive=lambda other: True)):
        kept = reader.read(BENCHMARKS, ID)
        assert kept is not None
        assert (kept.fields, kept.attempt) == ({"benchmark_id": ID, "data": {"seconds": [1.5]}}, 3)
    assert records(folder).read(DEPLOYS, ID) is None
    assert records(folder, store="/elsewhere (ffff)").read(BENCHMARKS, ID) is None


def test_text_that_no_encoding_takes_is_kept(folder: Path) -> None:
    """A lone surrogate in a log does not lose the record."""
    records(folder).keep(EXECUTIONS, ID, fields(log="\ud800"), REFUSED, 1)
    kept = records(folder).read(EXECUTIONS, ID)
    assert kept is not None and kept.fields["log"] == "\ud800"


def test_a_later_attempt_is_not_overwritten(folder: Path) -> None:
    """A process that was taken for dead and comes back with an earlier attempt does not replace the later one."""
    assert records(folder, name="second").keep(EXECUTIONS, ID, fields("COMPLETED"), REFUSED, 2)
    assert not records(folder, name="first").keep(EXECUTIONS, ID, fields("FAILED"), REFUSED, 1)
    kept = records(folder).read(EXECUTIONS, ID)
    assert kept is not None and kept.fields["status"] == "COMPLETED"


def test_the_same_attempt_is_replaced(folder: Path) -> None:
    """The latest word of a process about its job counts."""
    mine = records(folder)
    mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    mine.keep(EXECUTIONS, ID, fields(log="more\n"), REFUSED, 1)
    kept = mine.read(EXECUTIONS, ID)
    assert kept is not None and kept.fields["log"] == "more\n"


@pytest.mark.parametrize("wrong", ["../../outside", "a/b", "", "x" * 300, "a\\b", "a\x00b"])
def test_no_id_leads_out_of_the_folder(folder: Path, wrong: str) -> None:
    """An id that cannot be part of a file name is neither written nor read nor removed, and raises nothing."""
    mine = records(folder)
    assert not mine.keep(EXECUTIONS, wrong, fields(), REFUSED, 1)
    assert mine.read(EXECUTIONS, wrong) is None
    mine.forget(EXECUTIONS, wrong)
    assert not folder.exists() or names(folder) == set()


# What waits, and for whom


def test_ends_of_mine_and_of_the_dead_wait(folder: Path) -> None:
    """Those of this process and of processes that are gone are to be delivered, those of a living one are not."""
    ids = {name: ID[:-1] + end for name, end in zip(("me", "gone", "lives", "unknown"), "1234", strict=True)}
    for name, record_id in ids.items():
        records(folder, name=name).keep(EXECUTIONS, record_id, fields(), REFUSED, 1)
    known: dict[str, bool | None] = {"gone": False, "lives": True, "unknown": None}
    mine = records(folder, alive=lambda other: known[other["incarnation"]])
    assert [(kept.record_id, kept.holder["incarnation"]) for kept in mine.waiting()] == [
        (ids["me"], "me"),
        (ids["gone"], "gone"),
    ]


def test_other_stores_wait_for_others(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What belongs to another store is told about once and left alone."""
    records(folder, store="/elsewhere (ffff)").keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    mine = records(folder)
    assert [list(mine.waiting()) for _ in range(3)] == [[], [], []]
    mine.forget(EXECUTIONS, ID)
    assert file_of(folder).exists()
    assert len([line for line in caplog.messages if "other stores" in line]) == 1


def test_forgetting_is_for_the_own(folder: Path) -> None:
    """A process forgets what it kept itself, not what another one keeps under the same id."""
    other = records(folder, name="other")
    other.keep(EXECUTIONS, ID, fields(), REFUSED, 2)
    mine = records(folder)
    mine.forget(EXECUTIONS, ID)
    assert file_of(folder).exists()
    other.forget(EXECUTIONS, ID)
    assert not file_of(folder).exists()
    other.forget(EXECUTIONS, ID)  # and once more, which does nothing


def test_delivered_means_that_very_end(folder: Path) -> None:
    """When a later attempt is kept while an earlier one is delivered, the later one stays."""
    dead = records(folder, name="dead")
    dead.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    mine = records(folder)
    (kept,) = mine.waiting()
    dead.keep(EXECUTIONS, ID, fields(), REFUSED, 2)
    mine.delivered(kept)
    assert file_of(folder).exists()
    (kept,) = mine.waiting()
    mine.delivered(kept)
    assert not file_of(folder).exists()


# What may lie there


def break_half(path: Path) -> None:
    text = path.read_text()
    path.write_text(text[: len(text) // 2])


def break_type(name: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))

    return change


def break_list(path: Path) -> None:
    path.write_text("[1, 2]")


def break_deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def break_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def make_ancestors(path: Path) -> None:
    """A file of the ancestor, which has neither store nor holder."""
    content = {
        name: value for name, value in json.loads(path.read_text()).items() if "storage" in name or name[0] != "_"
    }
    path.write_text(json.dumps(content))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_link(path: Path) -> None:
    aim = path.with_name("aim")
    path.rename(aim)
    path.symlink_to(aim)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BROKEN: dict[str, Callable[[Path], None]] = {
    "half": break_half,
    "list": break_list,
    "deep": break_deep,
    "binary": break_binary,
    "attempt is text": break_type("_emergency_attempt", "1"),
    "attempt is a truth value": break_type("_emergency_attempt", True),
    "attempt is 0": break_type("_emergency_attempt", 0),
    "holder is text": break_type("_emergency_holder", "me"),
    "store is a number": break_type("_emergency_store", 7),
    "ancestor's": make_ancestors,
    "folder": make_folder,
}
if os.name != "nt":
    BROKEN |= {"link": make_link, "pipe": make_pipe}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_used_is_left_as_it_is(folder: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is told about once, hides no other record, and is neither read nor replaced nor removed."""
    dead, other = records(folder, name="dead"), ID[:-1] + "0"
    for record_id in (ID, other):
        dead.keep(EXECUTIONS, record_id, fields(), REFUSED, 1)
    BROKEN[kind](file_of(folder))
    before = marks(file_of(folder))
    mine = records(folder)
    for _ in range(2):
        assert [kept.record_id for kept in mine.waiting()] == [other]
        assert mine.read(EXECUTIONS, ID) is None
        mine.forget(EXECUTIONS, ID)
    assert len([line for line in caplog.messages if "left as it is" in line]) == 1
    assert not mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert marks(file_of(folder)) == before


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_left_as_it_is(folder: Path) -> None:
    """A file without permissions is like a broken one."""
    records(folder, name="dead").keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    file_of(folder).chmod(0)
    assert list(records(folder).waiting()) == []
    file_of(folder).chmod(0o600)
    assert len(list(records(folder).waiting())) == 1


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_not_believed(folder: Path) -> None:
    """A file that somebody else put there is no record of ours."""
    records(folder, name="dead").keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    os.chown(file_of(folder), 65534, 65534)
    assert list(records(folder).waiting()) == []


def test_other_files_are_not_looked_at(folder: Path) -> None:
    """Whatever else lies in the folder disturbs nobody."""
    records(folder, name="dead").keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    (folder / "notes.txt").write_text("x")
    (folder / EXECUTIONS / "notes.txt").write_text("x")
    (folder / EXECUTIONS / f".compox_emergency_{ID}.json.tmp").write_text("{")
    (folder / "Not A Collection!").mkdir()
    assert [kept.record_id for kept in records(folder).waiting()] == [ID]


# Places


@POSIX
def test_nobody_else_can_look(folder: Path) -> None:
    """Folders and files are for this user only: records hold parameters."""
    mine = records(folder)
    mine.prepare([EXECUTIONS])
    mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    made = [folder, *folder.rglob("*")]
    assert len(made) == 4
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}


def occupied(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")


def writable_by_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def linked(folder: Path) -> None:
    (folder.parent / "aim").mkdir(parents=True)
    folder.symlink_to(folder.parent / "aim")


def anothers(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder.mkdir(parents=True)
    os.chown(folder, 65534, 65534)


@pytest.mark.parametrize(
    "spoil", [occupied] if os.name == "nt" else [occupied, writable_by_all, linked, anothers], ids=lambda f: f.__name__
)
def test_a_folder_that_will_not_do_is_passed_over(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The next place is taken instead, with a warning, and what lies in the refused one is not believed."""
    spoil(folder)
    mine = records(folder, tmp_path / "next")
    mine.prepare([EXECUTIONS])
    assert mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert file_of(tmp_path / "next").exists()
    assert folder.is_file() or names(folder) == set()
    assert len([line for line in caplog.messages if f"not kept in {folder}" in line]) == 1
    assert len(list(mine.waiting())) == 1


def test_nowhere_to_keep_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where no place takes it this is said as loudly as can be, and nothing is raised."""
    occupied(folder)
    mine = records(folder)
    mine.prepare([EXECUTIONS])
    assert not mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert any(entry.levelno == logging.CRITICAL and ID in entry.getMessage() for entry in caplog.records)


def test_nothing_is_made_before_it_is_needed(folder: Path) -> None:
    """Looking for records leaves no trace."""
    mine = records(folder)
    assert list(mine.waiting()) == []
    assert mine.read(EXECUTIONS, ID) is None
    mine.forget(EXECUTIONS, ID)
    mine.close()
    assert not folder.parent.exists()


# The reserve


def test_each_process_holds_its_own_reserve(folder: Path) -> None:
    """What is given back by one is not that of another; what a dead one held is cleared by the next."""
    alive = {"first": True, "second": True}
    first, second = (records(folder, name=name, alive=lambda other: alive[other["incarnation"]]) for name in alive)
    first.prepare()
    second.prepare()
    assert len(names(folder)) == 2
    second.close()
    assert len(names(folder)) == 1
    third = records(folder, name="third", alive=lambda other: alive[other["incarnation"]])
    third.prepare()
    assert len(names(folder)) == 2
    alive["first"] = False
    fourth = records(folder, name="fourth", alive=lambda other: alive.get(other["incarnation"], True))
    fourth.prepare()
    fourth.prepare()
    assert names(folder) == {".emergency_reserve.third.bin", ".emergency_reserve.fourth.bin"}
    fourth.close()
    third.close()
    assert names(folder) == set()


def test_the_reserve_of_the_ancestor_stays(folder: Path) -> None:
    """A file of the ancestor's in the same folder is not ours to clear."""
    folder.mkdir(parents=True, mode=0o700)
    (folder / ".emergency_reserve.bin").write_bytes(b"")
    os.utime(folder / ".emergency_reserve.bin", (0, 0))
    records(folder).prepare()
    assert (folder / ".emergency_reserve.bin").exists()


@pytest.mark.skipif(not hasattr(os.stat_result, "st_blocks"), reason="this system does not tell blocks")
@pytest.mark.parametrize("fallocate", [True, False])
def test_the_reserve_holds_blocks(folder: Path, fallocate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MiB of the disk is really taken, also where the system cannot give blocks to a file by itself."""
    if not fallocate:
        monkeypatch.setattr("compox_core.storage.reserve._allocate", lambda descriptor, size: False)
    records(folder).prepare()
    (reserve,) = folder.iterdir()
    assert reserve.stat().st_size == MIB
    assert reserve.stat().st_blocks * 512 >= MIB


def fallback(monkeypatch: pytest.MonkeyPatch, fallocate: bool) -> None:
    if not fallocate:
        monkeypatch.setattr("compox_core.storage.reserve._allocate", lambda descriptor, size: False)


@pytest.mark.parametrize("fallocate", [True, False])
def test_a_full_disk_keeps_records_in_the_reserve(
    small_disk: SmallDisk, fallocate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With not one byte free the ends of many jobs are kept whole, and others cannot take their room meanwhile."""
    fallback(monkeypatch, fallocate)
    folder = small_disk.path / "emergency"
    mine = records(folder)
    mine.prepare([EXECUTIONS, BENCHMARKS])
    small_disk.fill()
    for number in range(20):
        small_disk.fill()  # whatever is given back is gone at once
        assert mine.keep(EXECUTIONS, ID[:-2] + f"{number:02}", fields(log=f"{number}" * 10_000), REFUSED, 1)
    assert [kept.fields["log"][:2] for kept in mine.waiting()][-1] == "19"
    assert len(list(mine.waiting())) == 20
    small_disk.free()
    for kept in list(mine.waiting()):
        mine.delivered(kept)
    mine.prepare([EXECUTIONS])
    (reserve,) = folder.glob(".emergency*")
    assert reserve.stat().st_size == MIB and reserve.stat().st_blocks * 512 >= MIB


def test_without_the_reserve_a_full_disk_takes_nothing(small_disk: SmallDisk) -> None:
    """What the other tests show is the reserve's doing."""
    folder = small_disk.path / "emergency"
    mine = records(folder)
    mine.prepare([EXECUTIONS])
    mine.close()
    small_disk.fill()
    assert not mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert names(folder) == set()


def test_a_full_disk_is_left_for_another(small_disk: SmallDisk, tmp_path: Path) -> None:
    """When the first place has no room at all the next one is taken."""
    first = small_disk.path / "emergency"
    mine = records(first, tmp_path / "next")
    small_disk.fill()
    assert mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert file_of(tmp_path / "next").exists()
    assert len(list(mine.waiting())) == 1


def test_a_record_too_long_for_the_reserve_loses_log(small_disk: SmallDisk) -> None:
    """Its end is kept with the last lines of its log, and says so."""
    folder = small_disk.path / "emergency"
    mine = records(folder)
    mine.prepare([EXECUTIONS])
    small_disk.fill()
    log = "".join(f"line {number}\n" for number in range(200_000))
    assert mine.keep(EXECUTIONS, ID, fields(log=log), REFUSED, 1)
    kept = mine.read(EXECUTIONS, ID)
    assert kept is not None
    assert kept.fields["log"].startswith(LOST) and kept.fields["log"].endswith("line 199999\n")
    assert kept.fields["status"] == "COMPLETED"


def test_a_small_rest_of_room_makes_a_small_reserve(small_disk: SmallDisk) -> None:
    """On a disk that is nearly full as much is held as there is, and grows when there is more."""
    folder = small_disk.path / "emergency"
    mine = records(folder)
    small_disk.fill(leave=400 * 1024)
    mine.prepare([EXECUTIONS])
    (reserve,) = folder.glob(".emergency*")
    assert reserve.stat().st_size == 256 * 1024
    small_disk.free()
    mine.prepare([EXECUTIONS])
    assert reserve.stat().st_size == MIB


def test_no_room_for_a_reserve_is_told(small_disk: SmallDisk, caplog: pytest.LogCaptureFixture) -> None:
    """On a disk that is full from the start this is said once, and the reserve is held when there is room."""
    folder = small_disk.path / "emergency"
    mine = records(folder)
    small_disk.fill()
    mine.prepare()
    mine.prepare()
    assert list(folder.iterdir()) == []
    assert len([line for line in caplog.messages if "no room" in line]) == 1
    small_disk.free()
    mine.prepare()
    (reserve,) = folder.iterdir()
    assert reserve.stat().st_size == MIB


def test_the_reserve_serves_where_writing_in_place_needs_room(
    small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a filesystem that copies on write the reserve's blocks are given back and taken anew."""
    from compox_core.storage import reserve

    folder = small_disk.path / "emergency"
    mine = records(folder)
    mine.prepare([EXECUTIONS])
    small_disk.fill()
    real, refused = reserve._write, []

    def copy_on_write(descriptor: int, data: bytes) -> None:
        if sys.platform == "linux" and "reserve" in str(Path(f"/proc/self/fd/{descriptor}").readlink()) and not refused:
            refused.append(descriptor)
            raise OSError(28, "No space left on device")
        real(descriptor, data)

    monkeypatch.setattr(reserve, "_write", copy_on_write)
    assert mine.keep(EXECUTIONS, ID, fields(), REFUSED, 1)
    assert refused
    assert mine.read(EXECUTIONS, ID) is not None

"""What nobody refers to, and what dead processes left, is collected; everything else stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from compox_core.algorithms.blobs import PINS, TOMBSTONES, Blob, BlobStore, Pin
from compox_core.algorithms.loading import loaded_in_place
from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import gone_key, head_key, minor_key
from compox_core.errors import StorageError
from compox_core.holder import Holder, this_process
from compox_core.identity import new_id, new_token, utc_now
from compox_core.jobs.retention import Report, Retention
from compox_core.records import JobKind
from compox_core.settings.models import Storage
from compox_core.storage import ALGORITHMS, ASSETS, EXECUTIONS, MODULES, SYSTEM, ObjectStore
from compox_core.storage.collections import ALL
from compox_core.storage.expiry import SWEEPS
from compox_core.storage.folder import FolderStore
from compox_core.tasks import TaskStore
from compox_core.tasks.presence import PROCESSES, Presence
from tests.algorithms.conftest import opened
from tests.algorithms.packages import PackageMaker, digest
from tests.algorithms.steps import Hooked
from tests.algorithms.views import ID, check_whole
from tests.engine.authors import image_runner, write_algorithm
from tests.jobs.aged import DEAD, ended, everything, make_all_old, make_old, own_machine, submitted

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ELSEWHERE = Holder(incarnation="e", host="another machine", pid=1, started="1")
WEIGHTS = b"weights"
BLOB = Blob(ASSETS, digest(WEIGHTS))


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


@pytest.fixture
def package(tmp_path: Path) -> PackageMaker:
    """A maker of packed algorithms."""
    return PackageMaker(tmp_path / "packages")


def keys(store: ObjectStore, collection: str, prefix: str = "") -> set[str]:
    return {info.key for info in store.list(collection, prefix)}


def collect(store: ObjectStore, later: timedelta = timedelta()) -> Report:
    """Collect as if it were so much later; a dry run before it changes nothing and tells the same."""
    retention = Retention(store, Storage(), now=lambda: utc_now() + later)
    before = everything(store)
    told = retention.collect(dry_run=True)
    assert everything(store) == before
    done = retention.collect()
    assert told == Report(True, done.removed, done.kept, done.problems)
    check_whole(store)
    return done


def removed(report: Report) -> dict[tuple[str, str], int]:
    return {(each.place, each.what): each.count for each in report.removed}


def counts(report: Report) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in report.removed:
        found[each.what] += each.count
    return dict(found)


class TestBlobs:
    def test_only_what_no_version_names_goes(self, any_store: ObjectStore, package: PackageMaker) -> None:
        """Contents of living versions of any algorithm stay, those of nobody go, with their sizes in the report."""
        registry = Registry(any_store)
        registry.deploy(package(code=b"one", assets={"w": WEIGHTS}))
        registry.deploy(package(name="other", code=b"two", assets={"v": b"other"}))
        any_store.put(MODULES, digest(b"left"), b"left")
        any_store.put(ASSETS, f"{digest(b'lost')}.0123", b"lost too")
        report = collect(any_store)
        unnamed = "contents that no version names"
        assert removed(report) == {(MODULES, unnamed): 1, (ASSETS, unnamed): 1}
        assert report.bytes == len(b"left") + len(b"lost too")
        assert keys(any_store, ASSETS) == {digest(WEIGHTS), digest(b"other")}
        assert keys(any_store, MODULES) == {digest(b"one"), digest(b"two")}
        assert collect(any_store).count == 0

    def test_a_living_pin_keeps_its_contents(self, store: ObjectStore) -> None:
        """What a deploy that goes on holds is kept, and the report says so."""
        store.put(*BLOB, WEIGHTS)
        with BlobStore(store).writer([BLOB.sha256]):
            report = collect(store, 6 * DAY)
            assert report.count == 0
            assert [(each.place, each.count) for each in report.kept] == [(ASSETS, 1)]
        assert collect(store).count == 1

    @pytest.mark.parametrize(
        ("holder", "young", "old"),
        [
            (DEAD, HOUR / 2, 2 * HOUR),
            (ELSEWHERE, 6 * DAY, 8 * DAY),
            (None, 6 * DAY, 8 * DAY),
            (this_process(""), 6 * DAY, 8 * DAY),
        ],
        ids=["dead", "elsewhere", "nobody", "alive"],
    )
    @pytest.mark.parametrize("mark", ["pin", "tombstone"])
    def test_marks_that_were_left_go(
        self, store: ObjectStore, mark: str, holder: Holder | None, young: timedelta, old: timedelta
    ) -> None:
        """The marks of a process that is known to be dead go after an hour, others after a week, with the contents."""
        store.put(*BLOB, WEIGHTS)
        if mark == "pin":
            store.put(SYSTEM, f"{PINS}x", Pin(holder=holder, contents=[BLOB.sha256]).model_dump_json().encode())
        else:
            said = b"" if holder is None else holder.model_dump_json().encode()
            store.put(SYSTEM, f"{TOMBSTONES}x/{ASSETS}/{BLOB.key}", said)
        report = collect(store, young)
        assert keys(store, ASSETS) == ({BLOB.key} if mark == "pin" else set())  # each collector has its own tombstone
        assert len(keys(store, SYSTEM)) == 1
        assert "pins and tombstones of processes that died" not in counts(report)
        assert counts(collect(store, old))["pins and tombstones of processes that died"] == 1
        assert keys(store, ASSETS) == keys(store, SYSTEM) == set()

    def test_a_broken_pin_keeps_every_content_until_it_is_old(self, store: ObjectStore) -> None:
        """It may pin anything; after a week it pins nothing."""
        store.put(*BLOB, WEIGHTS)
        store.put(SYSTEM, f"{PINS}x", b"not a pin")
        report = collect(store)
        assert (report.count, keys(store, ASSETS)) == (0, {BLOB.key})
        assert "blob-pins/x" in report.problems[0]
        assert collect(store, 8 * DAY).count == 2

    def test_a_version_that_cannot_be_read_keeps_every_content(self, store: ObjectStore, package: PackageMaker) -> None:
        """It may name any of them; the report says which it is, and other steps are done."""
        Registry(store).deploy(package())
        store.put(*BLOB, WEIGHTS)
        store.put(ALGORITHMS, minor_key(ID, 0), b"?")
        store.put(EXECUTIONS, "end/gone.0001", b"{}")
        report = Retention(store, Storage(), now=lambda: utc_now() + 2 * DAY).collect()
        assert counts(report) == {"ends without a record": 1}
        assert minor_key(ID, 0) in report.problems[0]
        assert keys(store, ASSETS) == {BLOB.key}

    def test_a_removal_that_broke_off_is_completed(self, store: ObjectStore, package: PackageMaker) -> None:
        """A minor beside its tombstone goes with what only it named; the tombstone stays."""
        registry = Registry(store)
        registry.deploy(package(code=b"0", assets={"w": WEIGHTS}))
        registry.deploy(package(code=b"1"))
        store.create(ALGORITHMS, gone_key(ID, 0), b"")
        assert counts(collect(store)) == {"versions that were removed": 1, "contents that no version names": 2}
        assert {gone_key(ID, 0), minor_key(ID, 1)} <= keys(store, ALGORITHMS)
        assert minor_key(ID, 0) not in keys(store, ALGORITHMS)
        assert registry.find(ID).minors == [1]

    def test_what_a_killed_deploy_left_goes_and_the_next_one_works(
        self, store: ObjectStore, package: PackageMaker
    ) -> None:
        """Killed before it published: its contents go, its head waits for the next deploy of that name."""
        given = package(assets={"w": WEIGHTS})

        class Killed(BaseException):
            pass

        def kill(name: str, action: Callable[[], object]) -> object:
            if name == f"create {ALGORITHMS}/{minor_key(ID, 0)}":
                raise Killed
            return action()

        with pytest.raises(Killed):
            Registry(Hooked(store, kill)).deploy(given)
        for key in keys(store, SYSTEM, PINS):  # as if it had been another process
            pin = Pin.model_validate_json(store.get(SYSTEM, key)).model_copy(update={"holder": DEAD})
            store.put(SYSTEM, key, pin.model_dump_json().encode())
        report = collect(store, 2 * HOUR)
        assert (
            counts(report)
            == {
                "pins and tombstones of processes that died": 1,
                "contents that no version names": 1,
            }
            or report.count == 3
        )
        assert [(each.what, each.count) for each in report.kept] == [("heads without a version", 1)]
        assert keys(store, MODULES) == keys(store, ASSETS) == set()
        assert head_key(ID) in keys(store, ALGORITHMS)
        assert Registry(store).deploy(given).created
        check_whole(store)

    def test_a_collection_in_batches(self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many there are, each goes, and few tombstones are there at a time."""
        monkeypatch.setattr("compox_core.jobs.retention.algorithms.BATCH", 4)
        for number in range(11):
            store.put(ASSETS, digest(b"%d" % number), b"%d" % number)
        most = 0

        def watch(name: str, action: Callable[[], object]) -> object:
            nonlocal most
            most = max(most, len(keys(store, SYSTEM, TOMBSTONES)))
            return action()

        assert Retention(Hooked(store, watch), Storage()).collect().count == 11
        assert (most, keys(store, ASSETS), keys(store, SYSTEM)) == (4, set(), set())

    def test_a_collection_that_was_held_up_deletes_no_more(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An hour after its tombstones others may take these for left ones."""
        blobs = [Blob(ASSETS, digest(b"%d" % number)) for number in range(3)]
        for blob in blobs:
            store.put(*blob, b"1")
        clock = [0.0]
        monkeypatch.setattr("compox_core.algorithms.blobs.since_boot", lambda: clock[0])

        def act(name: str, action: Callable[[], object]) -> object:
            if name.startswith(f"delete {ASSETS}"):
                clock[0] += 3700.0
            return action()

        assert len(BlobStore(Hooked(store, act)).collect(blobs, lambda candidates: set())) == 1
        assert len(keys(store, ASSETS)) == len(keys(store, SYSTEM, TOMBSTONES)) == 2


class TestNotes:
    def test_notes_of_jobs_without_a_record_go_after_a_day(self, any_store: ObjectStore) -> None:
        """Logs, ends and queue objects of nobody go; those of a job that has a record stay."""
        store, tasks = any_store, TaskStore(any_store, JobKind.EXECUTION)
        waiting, done = submitted(store, []), ended(store, submitted(store, []), [])
        tasks.save_log_chunk(done.task_id, 0, "head")
        whole = keys(store, EXECUTIONS)
        for number in range(2):
            tasks.save_log_chunk("lost", number, "text")
        store.put(EXECUTIONS, "end/lost.0001", b"{}")
        tasks.adopt("never", DEAD, resume=False)
        assert tasks.claim("never", 1, DEAD)
        assert collect(store, 23 * HOUR).count == 0
        report = collect(store, 25 * HOUR)
        assert counts(report) == {
            "logs without a record": 1,
            "ends without a record": 1,
            "queue entries without a record": 1,
        }
        assert keys(store, EXECUTIONS) == whole
        assert tasks.load(waiting.task_id).status == "PENDING"

    def test_heartbeats_of_the_dead_go(self, tmp_path: Path) -> None:
        """Those of processes that ended here at once, of others after a day of silence; of the living never."""
        with open_folder(tmp_path / "store") as store:
            presence = Presence(store, 60.0)
            presence.ensure()
            for name, holder in (("dead", DEAD), ("elsewhere", ELSEWHERE)):
                store.put(SYSTEM, f"{PROCESSES}{name}", f'{{"holder": {holder.model_dump_json()}}}'.encode())
            store.put(SYSTEM, f"{PROCESSES}broken", b"?")
            assert counts(collect(store)) == {"heartbeats of processes that died": 1}
            assert counts(collect(store, 25 * HOUR)) == {"heartbeats of processes that died": 2}
            assert keys(store, SYSTEM) == {f"{PROCESSES}{presence.incarnation}"}
            presence.close()

    def test_an_announcement_that_was_left_goes_after_a_day(self, store: ObjectStore) -> None:
        """A sweep that died stands in nobody's way for longer."""
        store.put(SYSTEM, f"{SWEEPS}x", b"{}")
        assert collect(store, 23 * HOUR).count == 0
        assert counts(collect(store, 25 * HOUR)) == {"announcements of sweeps that died": 1}


def open_folder(root: Path) -> FolderStore:
    store = FolderStore(root)
    store.ensure_collections()
    return store


class TestMachine:
    def test_temporary_files_go_after_a_day(self, temporary: Path, tmp_path: Path) -> None:
        """Those of stores, uploads and deploys; what is young, and what belongs to others, stays."""
        with open_folder(tmp_path / "store") as store:
            stays = [temporary / "compox-notes.txt", temporary / "other", temporary / f"compox-{new_id()}"]
            goes = [
                store.scratch(),
                store.root / ASSETS / ".tmp" / new_token(),
                temporary / f"compox-{new_token()}",
            ]
            folder = temporary / "compox-pack-1234"
            (folder / "inner").mkdir(parents=True)
            for path in (*stays, *goes, folder / "inner" / "part"):
                path.write_bytes(b"12345")
            for path in (*stays[:-1], *goes, folder / "inner" / "part", folder / "inner", folder):
                os.utime(path, (0, 0))
            report = collect(store)
            assert [each.exists() for each in goes] == [False] * 3
            assert not folder.exists()
            assert [each.exists() for each in stays] == [True] * 3
            assert (report.count, report.bytes) == (4, 20)
            assert {each.place for each in report.removed} == {store.url, "temporary files"}

    def test_what_is_left_in_the_module_cache_goes(self, tmp_path: Path) -> None:
        """Half extracted modules after a day; the place of a folder as soon as its process has ended."""
        cache = tmp_path / "modules"
        for name in (".a_1.left", ".a_1.young", "a_1"):
            (cache / name).mkdir(parents=True)
            (cache / name / "Runner.py").write_bytes(b"12345")
        for path in (cache / ".a_1.left", cache / "a_1"):
            os.utime(path, (0, 0))
        code = (
            "import os, sys; from pathlib import Path; from compox_core.algorithms.loading import loaded_in_place\n"
            "with loaded_in_place(Path(sys.argv[1])): os._exit(0)"
        )
        folder = write_algorithm(tmp_path / "alg", image_runner("return data"))
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60)
        (cache / "d_old.location").write_text("somewhere")
        os.utime(cache / "d_old.location", (time.time() - 8 * 86400,) * 2)
        (cache / "d_young.location").write_text("somewhere")
        assert len(list(cache.glob("d_*"))) == 3
        with open_folder(tmp_path / "store") as store, loaded_in_place(folder) as runner:
            report = collect(store)
            left = {path.name for path in cache.iterdir()}
            assert {".a_1.young", "a_1", "d_young.location"} < left
            assert (len(left), runner.__name__) == (4, "Runner")  # the fourth is where `runner` comes from
        assert removed(report) == {("module cache", "modules of processes that died"): 3}

    def test_what_refuses_to_go_is_told(
        self, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder that cannot be removed is a problem in the report, and no reason to stop."""

        def refuse(path: Path) -> bool:
            raise PermissionError("not yours")

        left = tmp_path / "modules" / ".a_1.left"
        left.mkdir(parents=True)
        os.utime(left, (0, 0))
        monkeypatch.setattr("compox_core.algorithms.cache_leftovers.remove", refuse)
        report = Retention(store, Storage()).collect()
        assert (report.count, report.problems) == (0, ("not yours",))


class TestReport:
    def test_a_store_that_is_in_use_is_clean(self, store: ObjectStore, package: PackageMaker) -> None:
        """After deploys, runs and removals nothing is left to collect."""
        registry = Registry(store)
        registry.deploy(package(code=b"0", assets={"w": WEIGHTS}))
        registry.deploy(package(code=b"1", assets={"w": WEIGHTS}))
        registry.remove(ID, 0)
        ended(store, submitted(store, []), [])
        report = collect(store)
        assert (report.count, report.kept, report.problems) == (0, (), ())
        assert str(report) == "Removed nothing (0 bytes)"

    def test_it_tells_all_for_programs(self, store: ObjectStore) -> None:
        """Each line with its count and size, and the sums."""
        store.put(*BLOB, WEIGHTS)
        report = Retention(store, Storage()).collect(dry_run=True)
        assert report.as_dict() == {
            "dry_run": True,
            "removed": ({"place": ASSETS, "what": "contents that no version names", "count": 1, "bytes": 7},),
            "kept": (),
            "problems": (),
            "count": 1,
            "bytes": 7,
        }
        assert str(report) == "Would remove 1 contents that no version names of asset-store (7 bytes)"

    def test_a_store_that_is_gone_is_an_error(self, store: ObjectStore) -> None:
        """Nothing is removed, nothing is said to be removed."""

        def lose(name: str, action: Callable[[], object]) -> object:
            raise StorageError("no answer", retryable=True)

        with pytest.raises(StorageError):
            Retention(Hooked(store, lose), Storage()).collect()

    def test_nothing_unknown_is_touched(self, store: ObjectStore, package: PackageMaker) -> None:
        """Objects that are not ours to judge stay, however old: samples, checkpoints, foreign keys."""
        for collection in ALL:
            store.put(collection, "something/of/others", b"?")
        make_all_old(store, 400 * DAY)
        Retention(store, Storage()).collect()
        kept = {name for name in ALL if keys(store, name)}
        assert set(ALL) - kept == {"data-store", "stop-requests"}
        make_old(store, SYSTEM, "something/of/others", DAY)

"""What has expired goes, what somebody needs stays, and a dry run only tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.errors import StorageError
from compox_core.identity import new_id, utc_now
from compox_core.jobs.retention import Report, Retention
from compox_core.jobs.retention.ages import AGES_KEY, ages
from compox_core.records import BenchmarkRecord, DeployRecord, JobKind
from compox_core.settings.models import Storage
from compox_core.storage import (
    BENCHMARKS,
    DEPLOYS,
    EXECUTIONS,
    FILES,
    STOP_REQUESTS,
    SYSTEM,
    FileStore,
    ObjectStore,
    open_store,
)
from compox_core.storage.expiry import SWEEPS, Expiry
from compox_core.tasks import TaskStore, TaskStores
from tests.algorithms.conftest import opened
from tests.algorithms.steps import Hooked
from tests.jobs.aged import ME, ended, everything, id_of, make_all_old, make_old, own_machine, put_file, submitted

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
KINDS = ["memory", "folder"]
S3_KINDS = [pytest.param(name, marks=pytest.mark.s3) for name in ("moto", "ceph")]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files and a module cache of this test's own."""
    return own_machine(tmp_path, monkeypatch)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A local store, in which objects can be made old."""
    yield from opened(request.param, tmp_path / "store", request)


@pytest.fixture(params=[*KINDS, *S3_KINDS])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of every kind."""
    yield from opened(request.param, tmp_path / "store", request)


def keys(store: ObjectStore, collection: str, prefix: str = "") -> set[str]:
    return {info.key for info in store.list(collection, prefix)}


def sweep(store: ObjectStore, later: timedelta = timedelta(), settings: Storage | None = None) -> Report:
    """Sweep as if it were so much later; a dry run before it changes nothing and tells the same."""
    retention = Retention(store, settings or Storage(), now=lambda: utc_now() + later)
    before = everything(store)
    told = retention.sweep(dry_run=True)
    assert everything(store) == before
    done = retention.sweep()
    assert told == Report(True, done.removed, done.kept, done.problems)
    assert keys(store, SYSTEM, SWEEPS) == set()
    return done


def removed(report: Report) -> dict[str, int]:
    return {each.place: each.count for each in report.removed}


def why(report: Report) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for each in report.kept:
        counts[each.why] += each.count
    return dict(counts)


class TestEveryStore:
    def test_what_nobody_needs_goes_with_its_age(self, any_store: ObjectStore) -> None:
        """Files go after a day, stop requests after a week, records after a month, with logs and ends."""
        store = any_store
        given_file, given_output = put_file(store), put_file(store)
        record = ended(store, submitted(store, [given_file]), [given_output])
        tasks = TaskStore(store, JobKind.EXECUTION)
        tasks.save_log_chunk(record.task_id, 0, "head")
        tasks.request_stop(record.task_id)
        assert sweep(store, 23 * HOUR).count == 0
        assert removed(sweep(store, 25 * HOUR)) == {FILES: 2}
        assert keys(store, FILES) == set()
        assert sweep(store, 6 * DAY).count == 0
        assert removed(sweep(store, 8 * DAY)) == {STOP_REQUESTS: 1}
        assert sweep(store, 29 * DAY).count == 0
        last = sweep(store, 31 * DAY)
        assert removed(last) == {EXECUTIONS: 1}
        assert last.bytes > len(record.model_dump_json())
        assert keys(store, EXECUTIONS) == set()

    def test_a_job_that_has_not_ended_keeps_everything(self, any_store: ObjectStore) -> None:
        """However old, its record, inputs and stop request stay, and what it may have stored while it runs."""
        store = any_store
        waiting, running = submitted(store, [put_file(store)]), submitted(store, [put_file(store), put_file(store)])
        tasks = TaskStore(store, JobKind.EXECUTION)
        assert tasks.claim(running.task_id, 1, ME)
        output = put_file(store)
        for record in (waiting, running):
            tasks.request_stop(record.task_id)
        before = everything(store)
        report = sweep(store, 400 * DAY)
        assert (report.count, everything(store)) == (0, before)
        assert why(report) == {
            "a job that has not ended names it": 3,
            "a job that runs may have stored it": 1,
            "the job has not ended": 4,
        }
        ended(store, waiting, [])
        tasks.close(running)
        assert {waiting.input_dataset_ids[0], output} < keys(store, FILES)
        assert removed(sweep(store, 400 * DAY)) == {FILES: 4, EXECUTIONS: 2}

    def test_a_submit_refuses_what_a_sweep_may_take(self, any_store: ObjectStore) -> None:
        """While a sweep goes on, files of its age are in danger, and others and those after it are not."""
        file_id, missing = put_file(any_store), new_id()
        files, now = FileStore(any_store), utc_now()
        assert files.endangered([missing, file_id]) == [missing]
        with Expiry(any_store).announced(now + HOUR):
            assert files.endangered([file_id, missing]) == [file_id, missing]
        with Expiry(any_store).announced(now - HOUR):
            assert files.endangered([file_id]) == []
        assert files.endangered([file_id]) == []

    def test_records_of_every_kind_have_their_own_age(self, any_store: ObjectStore) -> None:
        """Benchmarks and deploys expire by the settings of their collections."""
        records = {
            JobKind.BENCHMARK: BenchmarkRecord(benchmark_id=new_id(), algorithm_id="a", time_submitted=utc_now()),
            JobKind.DEPLOY: DeployRecord(deploy_id=new_id(), path="p", package_key="k", time_submitted=utc_now()),
        }
        for kind, record in records.items():
            tasks = TaskStore(any_store, kind)
            tasks.create(record, ME, resume=False)
            tasks.close(record)
        settings = Storage(benchmark_store_expire_days=2, deploy_store_expire_days=4)
        assert sweep(any_store, 1.5 * DAY, settings).count == 0
        assert removed(sweep(any_store, 3 * DAY, settings)) == {BENCHMARKS: 1}
        assert removed(sweep(any_store, 5 * DAY, settings)) == {DEPLOYS: 1}


class TestFiles:
    def test_outputs_of_a_long_run_are_there_for_a_while(self, store: ObjectStore) -> None:
        """A file that was given days before the end of its job stays as long after the end as others after theirs."""
        early, late = put_file(store, 3 * DAY), put_file(store, 3 * DAY)
        submitted_then = submitted(store, [], task_id=id_of(utc_now() - 5 * DAY))
        record = ended(store, submitted_then, [early])
        report = sweep(store)
        assert (removed(report), why(report)) == ({FILES: 1}, {"the job that gave it ended lately": 1})
        assert keys(store, FILES) == {early} != {late}
        make_old(store, EXECUTIONS, f"record/{record.task_id}", 25 * HOUR)
        assert removed(sweep(store)) == {FILES: 1}

    def test_only_what_a_running_job_may_have_stored_is_kept(self, store: ObjectStore) -> None:
        """Files from before the oldest running job began go."""
        before, after = put_file(store, 5 * DAY), put_file(store, 3 * DAY)
        record = submitted(store, [])
        assert TaskStore(store, JobKind.EXECUTION).claim(record.task_id, 1, ME)
        make_old(store, EXECUTIONS, f"queue/{record.task_id}.claim.0001", 4 * DAY)
        sweep(store)
        assert keys(store, FILES) == {after} != {before}

    def test_a_pinned_file_stays(self, store: ObjectStore) -> None:
        """What a pin names does not expire; pins are asked at each sweep."""
        file_id, pinned = put_file(store, 2 * DAY), set[str]()
        pinned.add(file_id)
        retention = Retention(store, Storage(), pins=[lambda: pinned])
        assert why(retention.sweep()) == {"a sample uses it": 1}
        pinned.clear()
        assert retention.sweep().count == 1

    def test_pins_that_cannot_be_read_keep_every_file(self, store: ObjectStore) -> None:
        """An error of a pin ends the step with nothing deleted, and the report and other steps are not lost."""

        def broken() -> set[str]:
            raise StorageError("samples cannot be read")

        file_id = put_file(store, 2 * DAY)
        store.put(STOP_REQUESTS, new_id(), b"")
        make_all_old(store, 9 * DAY)
        report = Retention(store, Storage(), pins=[broken]).sweep()
        assert keys(store, FILES) == {file_id}
        assert (report.problems, removed(report)) == (("samples cannot be read",), {STOP_REQUESTS: 1})

    def test_a_broken_record_of_an_open_job_keeps_every_file(self, store: ObjectStore) -> None:
        """It may need any of them; the report names it."""
        put_file(store, 2 * DAY)
        record = submitted(store, [])
        store.put(EXECUTIONS, f"record/{record.task_id}", b"not a record")
        report = sweep_once(store)
        assert report.count == 0
        assert record.task_id in report.problems[0]

    def test_a_broken_record_of_an_ended_job_is_in_nobodys_way(self, store: ObjectStore) -> None:
        """A record that cannot be read keeps nothing, and goes with its age."""
        put_file(store, 2 * DAY)
        store.put(EXECUTIONS, f"record/{id_of(utc_now() - 3 * DAY)}", b"not a record")
        assert removed(sweep(store)) == {FILES: 1}
        make_all_old(store, 40 * DAY)
        assert removed(sweep(store)) == {EXECUTIONS: 1}

    def test_a_queue_entry_whose_submit_is_on_its_way(self, store: ObjectStore) -> None:
        """An entry without a record is no error: its submit looks for the sweep afterwards."""
        put_file(store, 2 * DAY)
        TaskStore(store, JobKind.EXECUTION).adopt(new_id(), ME, resume=False)
        assert removed(sweep(store)) == {FILES: 1}

    def test_whatever_lies_among_the_files_expires(self, store: ObjectStore) -> None:
        """Objects with names that clients have chosen go with their age, too."""
        store.put(FILES, "folder/chosen.h5", b"data")
        make_all_old(store, 2 * DAY)
        assert removed(sweep(store)) == {FILES: 1}

    def test_what_cannot_be_deleted_is_told_and_the_rest_goes(self, store: ObjectStore) -> None:
        """One file that refuses does not keep the others."""
        ids = sorted(put_file(store, 2 * DAY) for _ in range(3))

        def refuse(name: str, action: Callable[[], object]) -> object:
            if name == f"delete {FILES}/{ids[1]}":
                raise StorageError("no permission", code="storage_access_denied")
            return action()

        report = Retention(Hooked(store, refuse), Storage()).sweep()
        assert (report.count, report.problems) == (2, ("no permission",))
        assert keys(store, FILES) == {ids[1]}
        assert keys(store, SYSTEM, SWEEPS) == set()

    def test_a_deletion_that_may_come_late_keeps_the_announcement(self, store: ObjectStore) -> None:
        """Where an answer is lost, submits keep off these files until the announcement is a day old."""
        file_id = put_file(store, 2 * DAY)

        def lose(name: str, action: Callable[[], object]) -> object:
            if name.startswith(f"delete {FILES}"):
                raise StorageError("the answer was lost", retryable=True)
            return action()

        report = Retention(Hooked(store, lose), Storage()).sweep()
        assert "the answer was lost" in report.problems
        assert FileStore(store).endangered([file_id]) == [file_id]
        assert Expiry(store).stale(utc_now()) == []
        assert [info.key for info in Expiry(store).stale(utc_now() + 25 * HOUR)] == list(keys(store, SYSTEM, SWEEPS))

    def test_many_failures_end_the_step(self, store: ObjectStore) -> None:
        """A store that refuses everything is not asked for each of a thousand files."""
        for _ in range(30):
            put_file(store, 2 * DAY)
        asked = []

        def refuse(name: str, action: Callable[[], object]) -> object:
            if name.startswith(f"delete {FILES}"):
                asked.append(name)
                raise StorageError("no permission", code="storage_access_denied")
            return action()

        report = Retention(Hooked(store, refuse), Storage()).sweep()
        assert (len(asked), report.count, report.problems) == (11, 0, ("no permission",))

    def test_a_decision_that_is_old_is_taken_anew(self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """After an hour, asleep or not, the queue is read again before the next file goes."""
        ids = sorted(put_file(store, 2 * DAY) for _ in range(3))
        clock = [0.0]
        monkeypatch.setattr("compox_core.jobs.retention.expired.since_boot", lambda: clock[0])

        def act(name: str, action: Callable[[], object]) -> object:
            if name == f"delete {FILES}/{ids[0]}":
                clock[0] += 4000.0
                submitted(store, [ids[2]])
            return action()

        report = Retention(Hooked(store, act), Storage()).sweep()
        assert report.count == 2
        assert keys(store, FILES) == {ids[2]}
        assert why(report) == {"a job that has not ended names it": 1}

    def test_a_broken_announcement_covers_what_could_be_meant(self, store: ObjectStore) -> None:
        """Nothing younger than a day is ever taken, so that nothing younger is refused."""
        old, young = put_file(store, 2 * DAY), put_file(store)
        store.put(SYSTEM, f"{SWEEPS}x", b"?")
        assert FileStore(store).endangered([old, young]) == [old]


def sweep_once(store: ObjectStore) -> Report:
    return Retention(store, Storage()).sweep()


class TestRecords:
    def test_no_record_is_read_to_tell_its_age(self, store: ObjectStore) -> None:
        """A sweep of finished records costs listings alone, of those that go and those that stay."""
        for age in (timedelta(), 40 * DAY):
            for _ in range(5):
                record = ended(store, submitted(store, []), [])
                make_old(store, EXECUTIONS, f"record/{record.task_id}", age)
        steps: list[str] = []

        def note(name: str, action: Callable[[], object]) -> object:
            steps.append(name)
            return action()

        report = Retention(Hooked(store, note), Storage()).sweep()
        assert removed(report) == {EXECUTIONS: 5}
        assert [step for step in steps if step.startswith(("get", "stat")) and EXECUTIONS in step] == []
        listings = [step for step in steps if step.startswith("list") and EXECUTIONS in step]
        assert len(listings) == len(set(listings)) + 1  # the queue is listed once more for stop requests

    def test_the_end_counts_and_not_the_submit(self, store: ObjectStore) -> None:
        """A job that waited for two months and ended today is kept for a month."""
        record = submitted(store, [], task_id=id_of(utc_now() - 60 * DAY))
        make_all_old(store, 60 * DAY)
        ended(store, record, [])
        assert sweep(store).count == 0

    def test_a_job_that_ends_while_the_sweep_looks(self, store: ObjectStore) -> None:
        """Old and open when the queue is listed, ended when the records are: it stays."""
        record = submitted(store, [])
        make_all_old(store, 60 * DAY)

        def act(name: str, action: Callable[[], object]) -> object:
            if name == f"list {EXECUTIONS}/record/":
                ended(store, record, [])
            return action()

        report = Retention(Hooked(store, act), Storage()).sweep()
        assert report.count == 0
        assert TaskStore(store, JobKind.EXECUTION).load(record.task_id).status.final

    def test_a_deletion_that_breaks_off_leaves_the_ends_for_the_next(self, store: ObjectStore) -> None:
        """The ends go last, as they hold off a process that comes back late; the next collection finds them."""
        record = ended(store, submitted(store, []), [])
        make_all_old(store, 40 * DAY)

        def refuse(name: str, action: Callable[[], object]) -> object:
            if name.startswith(f"delete {EXECUTIONS}/end/"):
                raise StorageError("gone", retryable=True)
            return action()

        Retention(Hooked(store, refuse), Storage()).sweep()
        assert keys(store, EXECUTIONS) == {f"end/{record.task_id}.0001"}
        report = Retention(store, Storage()).collect()
        assert keys(store, EXECUTIONS) == set()
        assert [each.what for each in report.removed if each.place == EXECUTIONS] == ["ends without a record"]


@given(data=st.data())
def test_age_and_need_decide_about_every_file(data: st.DataObject) -> None:
    """Whatever the ages, the setting and who names what: exactly the old files that nobody needs go."""
    days = data.draw(st.integers(1, 5), "days")
    hours = st.integers(0, 200).filter(lambda h: h != days * 24)
    aged = data.draw(st.lists(st.tuples(hours, st.sampled_from(["", "waits", "ends", "pinned"])), max_size=12), "files")
    claim = data.draw(st.none() | hours, "claim")
    with open_store("memory://") as store:
        files = [(put_file(store, timedelta(hours=hour)), hour, use) for hour, use in aged]
        submitted(store, [file_id for file_id, _, use in files if use == "waits"])
        done = submitted(store, [], task_id=id_of(utc_now() - 300 * HOUR))
        ended(store, done, [file_id for file_id, _, use in files if use == "ends"])
        if claim is not None:
            running = submitted(store, [])
            assert TaskStore(store, JobKind.EXECUTION).claim(running.task_id, 1, ME)
            make_old(store, EXECUTIONS, f"queue/{running.task_id}.claim.0001", timedelta(hours=claim))
        pinned = {file_id for file_id, _, use in files if use == "pinned"}
        settings = Storage(data_store_expire_days=days)
        report = Retention(store, settings, pins=[lambda: pinned]).sweep()
        kept = {
            file_id for file_id, hour, use in files if hour < days * 24 or use or (claim is not None and hour <= claim)
        }
        assert keys(store, FILES) == kept
        assert report.count == len(files) - len(kept)
        assert sum(each.count for each in report.kept) == sum(hour > days * 24 for _, hour, _ in files) - report.count


@given(
    days=st.integers(1, 40),
    aged=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), max_size=8),
)
def test_age_and_end_decide_about_every_record(days: int, aged: list[tuple[int, int, bool]]) -> None:
    """Whatever was submitted and written when: exactly the records go that were last written too long ago."""
    with open_store("memory://") as store:
        expected = set()
        for submit, write, open_still in aged:
            record = submitted(store, [], task_id=id_of(utc_now() - timedelta(days=submit + write, hours=1)))
            if not open_still:
                ended(store, record, [])
            make_old(store, EXECUTIONS, f"record/{record.task_id}", timedelta(days=write, hours=1))
            if open_still or write < days:
                expected.add(record.task_id)
        Retention(store, Storage(execution_store_expire_days=days)).sweep()
        stored = TaskStore(store, JobKind.EXECUTION)
        assert set(stored.ids()) == expected
        ends = {key.partition("/")[2].partition(".")[0] for key in keys(store, EXECUTIONS, "end/")}
        assert ends <= expected


class TestAges:
    def test_a_default_gives_way_to_what_the_server_goes_by(self, store: ObjectStore) -> None:
        """Who cleans with defaults takes nothing that the server of the store keeps; who sets a key gets it."""
        Retention(store, Storage(data_store_expire_days=30, execution_store_expire_days=3)).tell_ages()
        file_id = put_file(store, 5 * DAY)
        assert ages(store, Storage())[FILES] == 30 * DAY
        assert ages(store, Storage())[EXECUTIONS] == 30 * DAY  # the longer of both
        assert sweep(store).count == 0
        assert keys(store, FILES) == {file_id}
        assert sweep(store, settings=Storage(data_store_expire_days=1)).count == 1

    def test_the_ages_are_written_when_they_change(self, store: ObjectStore) -> None:
        """A server that is started with other settings says so; the same are not written again."""
        retention = Retention(store, Storage())
        retention.tell_ages()
        first = store.stat(SYSTEM, AGES_KEY)
        retention.tell_ages()
        assert store.stat(SYSTEM, AGES_KEY) == first
        Retention(store, Storage(stop_requests_expire_days=9)).tell_ages()
        assert ages(store, Storage())[STOP_REQUESTS] == 9 * DAY

    @pytest.mark.parametrize(
        "content",
        [b"?", b"[]", b'{"data-store": "x"}', b'{"data-store": Infinity}', b'{"data-store": 1000000}', b"[" * 9999],
    )
    def test_ages_that_cannot_be_read_are_none(self, store: ObjectStore, content: bytes) -> None:
        """A damaged object leaves the settings to decide."""
        store.put(SYSTEM, AGES_KEY, content)
        assert ages(store, Storage())[FILES] == DAY


def test_every_collection_with_a_key_and_a_kind_is_swept(store: ObjectStore) -> None:
    """There is an age for the files, the stop requests and the records of each kind."""
    known = ages(store, Storage())
    assert {FILES, STOP_REQUESTS, *(each.about.collection for each in TaskStores(store))} <= known.keys()


def test_a_pass_ends_when_it_is_told_to(store: ObjectStore) -> None:
    """Nothing more is removed after `ended` says so, and the report has what was."""
    for _ in range(5):
        put_file(store, 2 * DAY)
    answers = iter([False, False, False, False])
    report = Retention(store, Storage()).sweep(ended=lambda: next(answers, True))
    assert 0 < report.count < 5
    assert len(keys(store, FILES)) == 5 - report.count
    assert keys(store, SYSTEM, SWEEPS) == set()


def test_progress_rises_to_one(store: ObjectStore) -> None:
    """The share that is done never falls, and is 1 at the end."""
    for _ in range(5):
        put_file(store, 2 * DAY)
    shares: list[float] = []
    Retention(store, Storage()).collect(progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert len(shares) > 10

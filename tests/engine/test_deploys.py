"""Deploys that are jobs: what is stored of them, for how long, and what stops them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

import compox_core as cx
from compox_core.algorithms.zipping import zip_folder
from compox_core.engine import Engine
from compox_core.engine.deploys import RETRIES
from compox_core.errors import PackageError, TaskStoppedException
from compox_core.holder import this_process
from compox_core.identity import new_id, utc_now
from compox_core.jobs import make_bench
from compox_core.jobs.deploys import DeployWork
from compox_core.records import BenchmarkRequest, DeployRecord, JobKind, TaskStatus
from compox_core.settings import Limits, Settings, load_settings
from compox_core.storage import DEPLOYS, ObjectStore, initialise
from compox_core.storage.collections import ALL
from compox_core.storage.folder import FolderStore
from compox_core.storage.memory import MemoryStore
from compox_core.tasks import LiveTasks, TaskStores
from tests.engine.authors import image_runner, write_algorithm
from tests.jobs.aged import DEAD, make_all_old

DEADLINE = 60.0
RUNNER = image_runner("return data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An algorithm with assets of a few chunks."""
    return write_algorithm(
        tmp_path / "algorithm",
        RUNNER,
        files={"weights.bin": bytes(3_000_000), "a/table.csv": "1,2", ".git/config": "x", "__pycache__/x.pyc": b"x"},
    )


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine("memory://") as engine:
        yield engine


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    """Return what lies in the deploys' collection."""
    return [info.key for info in store.list(DEPLOYS, prefix)]


def done(engine: Engine, deploy_id: str) -> DeployRecord:
    """Wait for the end of a deploy."""
    record = engine.deploys.wait(deploy_id, DEADLINE)
    assert record.status.final, record
    return record


# -- the package ----------------------------------------------------------------------------------------------------


def test_a_zip_of_a_folder_is_what_a_deploy_packs(folder: Path, tmp_path: Path) -> None:
    """The same bytes for the same files, whenever and wherever they were written; nothing that is left out."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile))
    for source, target in ((folder, "one.zip"), (copy, "two.zip")):
        zip_folder(source, tmp_path / target, Limits())
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["Runner.py", "a/table.csv", "pyproject.toml", "weights.bin"]


def test_a_folder_that_no_zip_may_hold_is_refused_at_once(folder: Path) -> None:
    """By the limit for archives, at which the job would fail later; the message names the folder."""
    limited = {"storage": {"backend_settings": {"provider": "memory"}}, "limits": {"max_archive_bytes": 1_000_000}}
    with Engine(limited) as engine, pytest.raises(PackageError, match=r"limits\.max_archive_bytes") as refused:
        engine.deploys.submit(folder)
    assert (refused.value.code, refused.value.details["path"]) == ("invalid_deployment_zip", str(folder))
    assert refused.value.message.startswith(f"The zip '{folder.name}'")


def test_a_folder_and_its_zip_give_the_same(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """Also the same as a deploy at once: the second and third add nothing."""
    zip_folder(folder, tmp_path / "algorithm.zip", Limits())
    first = done(engine, engine.deploys.submit(folder).deploy_id)
    assert (first.added, first.algorithm_name, first.retries) == (True, "sample", RETRIES)
    assert done(engine, engine.deploys.submit(tmp_path / "algorithm.zip").deploy_id).added is False
    assert engine.deploy(folder).created is False
    assert (tmp_path / "algorithm.zip").exists()
    assert keys(engine.store, "package/") == []


def test_what_was_submitted_may_go(engine: Engine, folder: Path, tmp_path: Path) -> None:
    """The package waits in the store; the folder is not looked at again."""
    source = "from compox_core.runners import BaseRunner\nclass Runner(BaseRunner):\n    def benchmark(self, args):\n"
    source += "        self.log_message('begun')\n        while True: self.set_progress(0)\n"
    slow = engine.deploy(write_algorithm(tmp_path / "slow", source, name="slow")).record.algorithm_id
    benchmark = engine.benchmarks.submit(BenchmarkRequest(algorithm_id=slow)).benchmark_id
    deploy = engine.deploys.submit(folder).deploy_id
    assert keys(engine.store, "package/") == [f"package/{deploy}"]
    shutil.rmtree(folder)
    engine.benchmarks.stop(benchmark)
    assert done(engine, deploy).status is TaskStatus.COMPLETED
    assert keys(engine.store, "package/") == []


def test_a_deploy_that_is_not_accepted_leaves_nothing(engine: Engine, folder: Path) -> None:
    """An executor that takes no more jobs is the last thing that can go wrong."""
    engine.open()._open_parts.desk.executor.close(None)
    with pytest.raises(cx.StateError, match="closed"):
        engine.deploys.submit(folder)
    assert keys(engine.store) == []


def test_a_path_that_is_none_is_refused(engine: Engine, tmp_path: Path) -> None:
    """With the codes that a deploy at once has."""
    with pytest.raises(PackageError) as missing:
        engine.deploys.submit(tmp_path / "nowhere")
    assert missing.value.code == "deploy_path_not_found"
    (tmp_path / "algorithm.txt").write_text("")
    with pytest.raises(PackageError) as wrong:
        engine.deploys.submit(tmp_path / "algorithm.txt")
    assert wrong.value.code == "invalid_deploy_path_type"
    assert keys(engine.store) == []


# -- the work -------------------------------------------------------------------------------------------------------


class Bench:
    """A store with a submitted deploy, and the work that does it."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.store = MemoryStore()
        self.store.ensure_collections()
        self.work = DeployWork(make_bench(Settings(), self.store))
        self.live = LiveTasks(TaskStores(self.store), 1 << 20)
        deploy_id = new_id()
        record = submitted(deploy_id, folder)
        zip_folder(folder, scratch / deploy_id, Limits())
        self.store.put_file(DEPLOYS, record.package_key, scratch / deploy_id)
        self.task = self.live.add(record)
        self.seen: list[float] = []
        self.stop_after: int | None = None
        tell = self.task.set_progress

        def told(progress: float) -> None:
            tell(progress)
            self.seen.append(progress)
            if len(self.seen) == self.stop_after:
                self.task.request_stop()

        self.task.set_progress = told  # type: ignore[method-assign]

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()


def submitted(deploy_id: str, folder: Path, *, retries: int = RETRIES) -> DeployRecord:
    """Return the record of a deploy that nobody has begun."""
    return DeployRecord(
        deploy_id=deploy_id,
        path=str(folder),
        package_key=f"package/{deploy_id}",
        time_submitted=utc_now(),
        retries=retries,
    )


def test_a_deploy_is_stopped_at_any_point_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    """Its progress rises from 0 to 1; wherever it is stopped before, nothing is published and nothing left behind."""
    with Bench(folder, tmp_path) as whole:
        fields = whole.work(whole.task)
        assert (fields["algorithm_name"], fields["algorithm_minor_version"], fields["added"]) == ("sample", "0", True)
        assert whole.seen == sorted(whole.seen)
        assert (whole.seen[0], whole.seen[-1]) == (0.0, 1.0)
        assert len(set(whole.seen)) > 8
        assert "Deployed sample 1.0." in whole.task.log.text()
    for stop_after in range(1, len(whole.seen)):
        with Bench(folder, tmp_path) as bench:
            bench.stop_after = stop_after
            with pytest.raises(TaskStoppedException):
                bench.work(bench.task)
            assert bench.task.stop_raised
            left = [info.key for name in ALL if name != DEPLOYS for info in bench.store.list(name)]
            assert left == [], f"after {bench.seen}"
    with Bench(folder, tmp_path) as late:  # everything is stored by then
        late.stop_after = len(whole.seen)
        assert late.work(late.task)["added"] is True


def test_a_package_that_is_gone_is_told(folder: Path, tmp_path: Path) -> None:
    """A deploy whose end another process decided finds none: its own end does not count anyway."""
    with Bench(folder, tmp_path) as bench:
        bench.store.delete(DEPLOYS, f"package/{bench.task.id}")
        with pytest.raises(cx.NotFoundError) as missing:
            bench.work(bench.task)
    assert missing.value.code == "deploy_package_not_found"


def test_time_that_is_over_ends_a_deploy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of the server holds for every job: nothing is published, and the package goes."""
    settings = {"storage": {"backend_settings": {"provider": "memory"}}, "inference": {"timeout_s": 0.05}}
    with Engine(load_settings(settings)) as engine:
        opened = engine.store.open

        def late(collection: str, key: str) -> BinaryIO:
            if collection == DEPLOYS:
                task = engine._open_parts.desk.live.get(key.removeprefix("package/"))
                assert task is not None
                assert task.stop_requested.wait(DEADLINE)
            return opened(collection, key)

        monkeypatch.setattr(engine.store, "open", late)
        record = engine.deploys.submit(folder)
        assert record.timeout_s == 0.05
        ended = done(engine, record.deploy_id)
        assert ended.status is TaskStatus.FAILED
        assert ended.error is not None
        assert ended.error.code == "timed_out"
        assert list(engine.algorithms.list()) == []
        assert keys(engine.store, "package/") == []


# -- processes that die ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [RETRIES, 0])
def test_a_deploy_that_was_lost_begins_once_more(folder: Path, tmp_path: Path, retries: int) -> None:
    """Where it may, it completes at the second attempt; where it may not, it is FAILED. Its package goes either way."""
    store = FolderStore(tmp_path / "store")
    initialise(store)
    deploys = TaskStores(store).of(JobKind.DEPLOY)
    record = submitted(new_id(), folder, retries=retries)
    zip_folder(folder, tmp_path / "package", Limits())
    store.put_file(DEPLOYS, record.package_key, tmp_path / "package")
    deploys.create(record, DEAD, resume=True)
    assert deploys.claim(record.deploy_id, 1, DEAD)
    with Engine(str(tmp_path / "store"), executor="threads", resume=True) as engine:
        ended = done(engine, record.deploy_id)
        if retries:
            assert (ended.status, ended.attempt, ended.added) == (TaskStatus.COMPLETED, 2, True)
            assert "lost its worker" in ended.log
        else:
            assert ended.error is not None
            assert (ended.status, ended.attempt, ended.error.code) == (TaskStatus.FAILED, 1, "worker_lost")
        assert [key for key in keys(store) if not key.startswith(("record/", "end/"))] == []


def test_a_package_whose_submit_died_goes_after_a_day(folder: Path, tmp_path: Path) -> None:
    """That of a job which waits stays, however old it is."""
    store = FolderStore(tmp_path / "store")
    initialise(store)
    waiting = submitted(new_id(), folder)
    TaskStores(store).of(JobKind.DEPLOY).create(waiting, this_process("here"), resume=True)
    left = f"package/{new_id()}"
    for key in (waiting.package_key, left):
        store.put(DEPLOYS, key, b"zip")
    with Engine(str(tmp_path / "store")) as engine:
        engine.gc()
        assert keys(store, "package/") == sorted([waiting.package_key, left])
        make_all_old(store, timedelta(days=2))
        engine.gc()
    assert keys(store, "package/") == [waiting.package_key]

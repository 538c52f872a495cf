"""Sweeps beside submits, and collections beside deploys, in every order of their steps."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compox_core.algorithms.blobs import PINS, TOMBSTONES, Blob, BlobStore, Pin
from compox_core.algorithms.catalogue import Catalogue, blobs_of
from compox_core.algorithms.registry import Registry
from compox_core.engine.executions import Executions
from compox_core.engine.tasks import Desk
from compox_core.engine.upkeep import Upkeep
from compox_core.errors import NotFoundError
from compox_core.identity import utc_now
from compox_core.jobs import Lifecycle, make_bench
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom
from compox_core.jobs.retention.expired import sweep_files
from compox_core.records import ExecutionRequest, Job, JobKind, TaskStatus
from compox_core.settings import Settings
from compox_core.storage import ASSETS, EXECUTIONS, FILES, MODULES, SAMPLES, SYSTEM, FileStore, ObjectStore
from compox_core.storage.expiry import Expiry
from compox_core.storage.memory import MemoryStore
from compox_core.storage.objects import ObjectInfo
from compox_core.tasks import LiveTasks, Presence, TaskStore, TaskStores
from tests.algorithms.packages import PackageMaker
from tests.algorithms.steps import Actor, Explorer, Hooked, repeatable_names
from tests.algorithms.views import ID, check_whole, contents
from tests.jobs.aged import DEAD, ME, make_old, submitted

FILE = "019a0000-0000-7000-8000-000000000001"
OUTPUT = "019a0000-0000-7000-8000-000000000002"
TAKEN = "taken/"
"""In `sample-store`: under it stands the id of each file that somebody was told he can use."""


class Elsewhere:
    """An executor whose jobs are run by nobody."""

    remote = True

    def submit(self, job: Job) -> None: ...
    def cancel(self, job: Job) -> bool:
        return False

    def close(self, timeout: float | None) -> list[Job]:
        return []


@pytest.fixture
def repeatable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Random names that repeat from run to run, each actor having its own."""
    local = threading.local()

    def next_name() -> str:
        if not hasattr(local, "count"):
            local.count = itertools.count()
        return f"{threading.current_thread().name}-{next(local.count)}"

    for module in ("engine.executions", "storage.expiry", "tasks.presence"):
        monkeypatch.setattr(f"compox_core.{module}.new_id", next_name)
    with repeatable_names():
        yield


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Where the algorithm that is run is looked up: a store of its own, in which no step is taken."""
    store = MemoryStore()
    Registry(store).deploy(PackageMaker(tmp_path_factory.mktemp("packages"))())
    return Registry(store)


def submitter(registry: Registry, name: str) -> Actor:
    """Return one who submits a run on FILE, as an engine does, and notes when it was accepted."""

    def act(store: ObjectStore) -> None:
        bench = make_bench(Settings(), store, registry=registry)
        presence = Presence(store, 1.0)
        live = LiveTasks(TaskStores(store), 1024)
        lifecycle = Lifecycle(live, presence, bench.files)
        desk = Desk(bench, live, presence, lifecycle, Elsewhere(), Upkeep(store, presence, None, None, None), False)
        try:
            Executions(desk).submit(ExecutionRequest(algorithm_id=ID, input_dataset_ids=[FILE]))
        except NotFoundError as error:
            assert error.code == "input_datasets_not_found"
            return
        store.put(SAMPLES, f"{TAKEN}{name}", FILE.encode())

    return act


def sweeper(store: ObjectStore) -> None:
    sweep_files(Broom(store, utc_now()), TaskStores(store), timedelta(days=1), [_samples(store)])


def _samples(store: ObjectStore) -> Callable[[], set[str]]:
    def pinned() -> set[str]:
        found = set()
        for info in store.list(SAMPLES, "sample/"):
            with suppress(NotFoundError):
                found.add(store.get(SAMPLES, info.key).decode())
        return found

    return pinned


def collector_of_samples(name: str) -> Actor:
    """Return one who makes a sample of FILE, as whoever pins files must."""

    def act(store: ObjectStore) -> None:
        store.put(SAMPLES, f"sample/{name}", FILE.encode())
        if FileStore(store).endangered([FILE]):
            store.delete(SAMPLES, f"sample/{name}")
        else:
            store.put(SAMPLES, f"{TAKEN}{name}", FILE.encode())

    return act


def runner(store: ObjectStore) -> None:
    """Run a job that waits, begun three days ago: it stored an output two days ago, ends now, and this is told."""
    tasks = TaskStore(store, JobKind.EXECUTION)
    record = cast(Any, tasks.load("waiting"))
    inner = cast(Hooked, store).inner
    assert tasks.claim("waiting", 1, ME)
    make_old(inner, EXECUTIONS, "queue/waiting.claim.0001", timedelta(days=3))
    assert store.exists(FILES, FILE)
    store.put(FILES, OUTPUT, b"output")
    make_old(inner, FILES, OUTPUT, timedelta(days=2))
    final = record.model_copy(update={"status": TaskStatus.COMPLETED, "output_dataset_ids": [OUTPUT]})
    tasks.decide("waiting", 1, tasks.note_of(final, "runner"))
    tasks.close(final)
    store.put(SAMPLES, f"{TAKEN}runner", OUTPUT.encode())


def file_is_there(store: ObjectStore) -> None:
    store.put(FILES, FILE, b"data")
    make_old(store, FILES, FILE, timedelta(days=2))


def nobody_lost_a_file(store: ObjectStore) -> None:
    for info in store.list(SAMPLES, TAKEN):
        file_id = store.get(SAMPLES, info.key).decode()
        assert store.exists(FILES, file_id), f"{info.key} was told that it can use {file_id}"


def nothing_is_announced(store: ObjectStore) -> None:
    assert list(store.list(SYSTEM)) == []


def files_explorer(actors: dict[str, Actor], prepare: Callable[[ObjectStore], None] = file_is_there) -> Explorer:
    return Explorer(prepare, actors, nobody_lost_a_file, nothing_is_announced)


@pytest.mark.usefixtures("repeatable")
class TestSweepsBesideSubmits:
    def test_one_of_each(self, registry: Registry) -> None:
        """The submit is refused or the file stays, whoever is first, in every order there is."""
        search = files_explorer({"submit": submitter(registry, "one"), "sweep": sweeper})
        search.explore()
        assert search.ends > 5
        assert search.states > 50

    @pytest.mark.parametrize("submits", [1, 2])
    def test_several_of_each(self, registry: Registry, submits: int) -> None:
        """Two sweeps, and one submit or two."""
        actors = {f"submit{n}": submitter(registry, str(n)) for n in range(submits)}
        search = files_explorer({**actors, "sweep0": sweeper, "sweep1": sweeper})
        search.explore(1500)
        assert search.ends

    def test_a_pin_beside_a_sweep(self) -> None:
        """Who stores a pin and then asks whether the file is in danger loses none."""
        search = files_explorer({"sample": collector_of_samples("one"), "sweep0": sweeper, "sweep1": sweeper})
        search.explore(1500)
        assert search.ends

    def test_a_run_beside_a_sweep(self) -> None:
        """The input of a job that is begun and ends meanwhile is there when it runs, and its output afterwards."""

        def prepare(store: ObjectStore) -> None:
            file_is_there(store)
            submitted(store, [FILE], task_id="waiting")

        search = files_explorer({"run": runner, "sweep": sweeper}, prepare)
        search.explore()
        assert search.ends

    def test_the_search_finds_a_sweep_that_does_not_announce(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sweep that reads the queue and deletes is caught, so the searches above mean something."""
        monkeypatch.setattr(Expiry, "announced", lambda self, before: nullcontext())
        with pytest.raises(AssertionError, match="was told"):
            files_explorer({"submit": submitter(registry, "one"), "sweep": sweeper}).explore()

    def test_the_search_finds_a_submit_that_looks_at_the_files_first(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Announcements that are read after the files are read too late."""
        right = Expiry.endangered

        def wrong(self: Expiry, file_ids: Sequence[str]) -> list[str]:
            missing = [each for each in file_ids if not self._store.exists(FILES, each)]
            patched = SimpleNamespace(list=self._store.list, get=self._store.get, stat=lambda *_: _youngest())
            return missing or right(Expiry(cast(Any, patched)), file_ids)

        def _youngest() -> ObjectInfo:
            return ObjectInfo("", 0, utc_now(), "")

        monkeypatch.setattr(Expiry, "endangered", wrong)
        with pytest.raises(AssertionError, match="was told"):
            files_explorer({"submit": submitter(registry, "one"), "sweep": sweeper}).explore()


# -- collections ----------------------------------------------------------------------------------------------------


def collector(store: ObjectStore) -> None:
    """Collect, as if it were two hours later, so that what dead processes left goes."""
    collect_algorithms(Broom(store, utc_now() + timedelta(hours=2)), Catalogue(store, 1 << 20))


def deployer(package: Any) -> Actor:
    return lambda store: Registry(store).deploy(package) and None


def remover(store: ObjectStore) -> None:
    try:
        Registry(store).remove(ID, 0, force=True)
    except NotFoundError:
        return


def nothing_superfluous(store: ObjectStore) -> None:
    """One more collection leaves the blobs that versions name, and no pin and no tombstone."""
    check_whole(store)
    collector(store)
    check_whole(store)
    registry = Registry(store)
    versions = [registry.version(found.algorithm_id, minor) for found in registry.list() for minor in found.minors]
    named = {blob for version in versions for blob in blobs_of(version)}
    assert named == {Blob(name, info.key) for name in (MODULES, ASSETS) for info in store.list(name)}
    assert [info.key for prefix in (PINS, TOMBSTONES) for info in store.list(SYSTEM, prefix)] == []


@pytest.mark.usefixtures("repeatable")
class TestCollectionsBesideDeploys:
    def left_behind(self, package: PackageMaker) -> Callable[[ObjectStore], None]:
        """Return what fills a store with a version, blobs that no version names, and marks of a dead process."""
        given = package(code=b"new", assets={"w": b"weights"})

        def prepare(store: ObjectStore) -> None:
            Registry(store).deploy(package(code=b"old"))
            (asset,) = given.assets.values()
            store.put(ASSETS, asset.sha256, b"weights")
            store.put(SYSTEM, f"{PINS}left", Pin(holder=DEAD, contents=[asset.sha256]).model_dump_json().encode())
            tomb = f"{TOMBSTONES}left/{ASSETS}/{asset.sha256}"
            store.put(SYSTEM, tomb, DEAD.model_dump_json().encode())

        return prepare

    @pytest.mark.parametrize("collectors", [1, 2])
    def test_a_deploy_that_reuses_what_nobody_names(self, package: PackageMaker, collectors: int) -> None:
        """Whatever a collection takes meanwhile, the version is whole, also where a dead process left its marks."""
        given = package(code=b"new", assets={"w": b"weights"})

        def deployed(store: ObjectStore) -> None:
            assert contents(store)[-1] == given.module_sha256
            nothing_superfluous(store)

        actors = {"deploy": deployer(given), **{f"collect{n}": collector for n in range(collectors)}}
        search = Explorer(self.left_behind(package), actors, check_whole, deployed)
        search.explore(1500)
        assert search.ends

    def test_a_deploy_a_removal_and_a_collection(self, package: PackageMaker) -> None:
        """A version that shares its asset with one that is removed meanwhile keeps it."""
        given = package(code=b"new", assets={"w": b"shared"})
        search = Explorer(
            lambda store: Registry(store).deploy(package(code=b"old", assets={"v": b"shared"})) and None,
            {"deploy": deployer(given), "remove": remover, "collect": collector},
            check_whole,
            nothing_superfluous,
        )
        search.explore(1500)
        assert search.ends

    def test_two_deploys_and_a_collection(self, package: PackageMaker) -> None:
        """Two first deploys of one content."""
        given = package(code=b"new", assets={"w": b"weights"})
        actors = {"deploy0": deployer(given), "deploy1": deployer(given), "collect": collector}
        search = Explorer(lambda store: None, actors, check_whole, nothing_superfluous)
        search.explore(1500)
        assert search.ends

    def test_the_search_finds_a_collection_that_buries_nothing(
        self, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Looking at pins and versions and deleting is caught, so the searches above mean something."""

        def hasty(self: BlobStore, blobs: Any, named: Any) -> set[Blob]:
            free = {blob for blob in blobs if blob.sha256 not in self._pinned()}
            doomed = free - named(free)
            for blob in sorted(doomed):
                self._store.delete(*blob)
            return doomed

        monkeypatch.setattr(BlobStore, "collect", hasty)
        given = package(code=b"new", assets={"w": b"weights"})
        with pytest.raises((AssertionError, NotFoundError)):
            Explorer(self.left_behind(package), {"deploy": deployer(given), "collect": collector}, check_whole).explore(
                20000
            )


@pytest.fixture
def package(tmp_path: Path) -> PackageMaker:
    """A maker of packed algorithms."""
    return PackageMaker(tmp_path / "packages")

"""Samples beside deletions and sweeps of their files, in every order of their steps."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import timedelta

import pytest

from compox_core.errors import ConflictError, NotFoundError
from compox_core.identity import utc_now
from compox_core.jobs.retention.broom import Broom
from compox_core.jobs.retention.expired import sweep_files
from compox_core.records import SampleRecord, SampleRequest
from compox_core.storage import FILES, SAMPLES, SYSTEM, FileStore, ObjectStore
from compox_core.storage.expiry import Expiry
from compox_core.storage.file_pins import PINNED, FilePins
from compox_core.tasks import TaskStores
from compox_core.training.samples import RECORDS, SampleStore
from tests.algorithms.steps import Actor, Explorer
from tests.jobs.aged import make_old

FILE = "019a0000-0000-7000-8000-000000000001"
SAMPLE = "019a0000-0000-7000-8000-000000000002"


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that repeat from run to run, each actor having its own."""
    local = threading.local()

    def next_id() -> str:
        if not hasattr(local, "count"):
            local.count = itertools.count()
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{threading.current_thread().name}-{next(local.count)}"))

    for module in ("storage.expiry", "training.samples"):
        monkeypatch.setattr(f"compox_core.{module}.new_id", next_id)


def creator(store: ObjectStore) -> None:
    try:
        SampleStore(store, FileStore(store)).create(SampleRequest(files=[{"input": [FILE]}]))
    except NotFoundError as error:
        assert error.code == "sample_input_files_not_found"


def remover(store: ObjectStore) -> None:
    try:
        SampleStore(store, FileStore(store)).delete(SAMPLE)
    except NotFoundError as error:
        assert error.code == "sample_not_found"


def deleter(store: ObjectStore) -> None:
    try:
        FileStore(store).delete(FILE)
    except (ConflictError, NotFoundError) as error:
        assert error.code in ("file_in_use", "file_not_found")


def sweeper(store: ObjectStore) -> None:
    sweep_files(Broom(store, utc_now()), TaskStores(store), timedelta(days=1), [FilePins(store).pinned])


def file_is_there(store: ObjectStore) -> None:
    store.put(FILES, FILE, b"data")
    make_old(store, FILES, FILE, timedelta(days=2))


def sample_is_there(store: ObjectStore) -> None:
    file_is_there(store)
    record = SampleRecord(sample_id=SAMPLE, files=[{"input": [FILE]}], time_created=utc_now())
    FilePins(store).pin(SAMPLE, [FILE])
    store.put(SAMPLES, RECORDS + SAMPLE, record.model_dump_json().encode())


def of_samples(store: ObjectStore, prefix: str) -> set[str]:
    return {info.key.rpartition("/")[2] for info in store.list(SAMPLES, prefix)}


def samples_are_whole(store: ObjectStore) -> None:
    """Each sample holds its file, which is there."""
    made = of_samples(store, RECORDS)
    assert made <= of_samples(store, PINNED), "a sample does not hold its file"
    assert not made or store.exists(FILES, FILE), "the file of a sample is gone"


def nothing_is_left(store: ObjectStore) -> None:
    """No pin is without a sample, and nothing is announced."""
    assert of_samples(store, PINNED) == of_samples(store, RECORDS)
    assert list(store.list(SYSTEM)) == []


def explorer(prepare: Callable[[ObjectStore], None], actors: dict[str, Actor]) -> Explorer:
    return Explorer(prepare, actors, samples_are_whole, nothing_is_left)


@pytest.mark.parametrize("taker", [deleter, sweeper])
def test_a_sample_beside_one_who_takes_its_file(taker: Actor) -> None:
    """The sample is refused or the file stays, whoever is first, in every order there is."""
    search = explorer(file_is_there, {"create": creator, "take": taker})
    search.explore()
    assert search.ends > 5
    assert search.states > 50


def test_a_sample_beside_a_deletion_and_a_sweep() -> None:
    """The announcement of one is no excuse for the other."""
    search = explorer(file_is_there, {"create": creator, "delete": deleter, "sweep": sweeper})
    search.explore(1500)
    assert search.ends


@pytest.mark.parametrize("taker", [deleter, sweeper])
def test_samples_of_one_file_that_come_and_go(taker: Actor) -> None:
    """What one sample lets go of the others hold."""
    actors = {"create0": creator, "create1": creator, "remove": remover, "take": taker}
    search = explorer(sample_is_there, actors)
    search.explore(1500)
    assert search.ends


def test_a_sample_that_is_deleted_twice_at_once() -> None:
    """Beside one more of the same file, and somebody who wants to delete that; nothing is left."""
    actors = {"create": creator, "remove0": remover, "remove1": remover, "delete": deleter}
    search = explorer(sample_is_there, actors)
    search.explore(1500)
    assert search.ends


def test_every_order_of_creations_and_a_deletion_ends_with_two_samples() -> None:
    """Samples of one file do not disturb each other."""

    def two(store: ObjectStore) -> None:
        nothing_is_left(store)
        assert len(of_samples(store, RECORDS)) == 2
        assert SAMPLE not in of_samples(store, RECORDS)

    actors = {"create0": creator, "create1": creator, "remove": remover}
    search = Explorer(sample_is_there, actors, samples_are_whole, two)
    search.explore()
    assert search.ends


class TestTheSearchFinds:
    """What is wrong is caught, so the searches above mean something."""

    @pytest.fixture(params=["deletion", "sweep"])
    def taker(self, request: pytest.FixtureRequest) -> Iterator[Actor]:
        """One who takes the file."""
        yield deleter if request.param == "deletion" else sweeper

    def test_one_who_does_not_announce(self, taker: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
        """A look at the pins alone is not enough."""
        for name in ("deleting", "announced"):
            monkeypatch.setattr(Expiry, name, lambda *_: nullcontext())
        self.fails(file_is_there, {"create": creator, "take": taker}, "is gone")

    def test_a_sample_that_looks_for_its_file_before_it_holds_it(
        self, taker: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first look is for the caller's sake only."""
        monkeypatch.setattr(FileStore, "endangered", lambda *_: [])
        self.fails(file_is_there, {"create": creator, "take": taker}, "is gone")

    def test_a_sample_that_looks_at_the_file_before_the_announcements(
        self, taker: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Announcements that are read after the files are read too late."""

        def wrong(self: Expiry, keys: Sequence[str]) -> list[str]:
            missing = [key for key in keys if not self._store.exists(FILES, key)]
            return missing or (list(keys) if list(self._store.list(SYSTEM, "sweeps")) else [])

        monkeypatch.setattr(Expiry, "endangered", wrong)
        self.fails(file_is_there, {"create": creator, "take": taker}, "is gone")

    def test_a_deletion_that_lets_go_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a sample that is there until its record is gone."""

        def wrong(self: SampleStore, sample_id: str) -> None:
            self._pins.unpin(sample_id, [FILE])
            self._store.delete(SAMPLES, RECORDS + sample_id)

        monkeypatch.setattr(SampleStore, "delete", wrong)
        self.fails(sample_is_there, {"remove": remover, "delete": deleter}, "does not hold")

    def fails(self, prepare: Callable[[ObjectStore], None], actors: dict[str, Actor], why: str) -> None:
        with pytest.raises(AssertionError, match=why):
            explorer(prepare, actors).explore()

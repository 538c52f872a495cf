"""Checkpoints: what is saved comes back, counts, and goes without taking anything along."""

from __future__ import annotations

import io
import json
import logging
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compox_core.algorithms import checkpoint_contents
from compox_core.algorithms.blobs import PINS, TOMBSTONES
from compox_core.algorithms.catalogue import Catalogue
from compox_core.algorithms.checkpoint_contents import AssetValue, plain_properties
from compox_core.algorithms.checkpoints import CheckpointStore, with_checkpoint
from compox_core.algorithms.manifests import BY_ALGORITHM, BY_TRAINING, RECORDS
from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import gone_key
from compox_core.errors import CompoxError, InvalidInputError, NotFoundError, StorageError, TaskStoppedException
from compox_core.identity import utc_now
from compox_core.jobs.retention.algorithms import collect_algorithms
from compox_core.jobs.retention.broom import Broom
from compox_core.records import AlgorithmVersion, CheckpointRecord
from compox_core.storage import ALGORITHMS, ASSETS, CHECKPOINTS, SYSTEM, ObjectStore
from compox_core.storage.memory import MemoryStore
from tests.algorithms.learned import save
from tests.algorithms.packages import PackageMaker, digest
from tests.algorithms.steps import Hooked
from tests.disks import MIB, SmallDisk, small_disk

__all__ = ["small_disk"]

ASSETS_GIVEN = {"w": b"deployed", "v": b"also"}


@pytest.fixture
def registry(store: ObjectStore) -> Registry:
    return Registry(store)


@pytest.fixture
def version(registry: Registry, package: PackageMaker) -> AlgorithmVersion:
    """A version with the assets 'w' and 'v'."""
    return registry.deploy(package(assets=ASSETS_GIVEN)).version


@pytest.fixture
def scratch(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the store has its scratch files, which holds nothing else."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(store, "scratch", lambda: Path(tempfile.mktemp(dir=folder)))
    return folder


def keys(store: ObjectStore, collection: str, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(collection, prefix)]


def marks(store: ObjectStore) -> list[str]:
    return keys(store, SYSTEM, PINS) + keys(store, SYSTEM, TOMBSTONES)


def collect(store: ObjectStore, days: float) -> Broom:
    broom = Broom(store, utc_now() + timedelta(days=days))
    collect_algorithms(broom, Catalogue(store, 1 << 20))
    return broom


def seekless(data: bytes) -> Any:
    """Return a stream that can only be read forward."""

    class Forward(io.RawIOBase):
        _rest = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, target: Any) -> int:
            return self._rest.readinto(target)

    return Forward()


class TestSaving:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    def test_what_is_saved_is_there_for_everybody(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion
    ) -> None:
        """Record and contents, found by id, by training, by algorithm and by tags; no pin stays."""
        saved = save(
            registry.checkpoints, version, {"w": b"learned"},
            parent_checkpoint_id="before", properties={"loss": 0.5}, tags=["Best ", "Übung"],
        )  # fmt: skip
        other = CheckpointStore(store)
        assert other.get(saved.checkpoint_id) == saved
        assert (saved.parent_algorithm_id, saved.algorithm_minor_version) == (version.algorithm_id, "0")
        assert (saved.training_id, saved.parent_checkpoint_id) == ("t", "before")
        assert (saved.properties, saved.tags) == ({"loss": 0.5}, ["Best ", "Übung"])
        assert store.get(ASSETS, saved.assets["w"].key) == b"learned"
        assert saved.assets["w"].sha256 == digest(b"learned")
        assert other.ids_of_training("t") == [saved.checkpoint_id]
        assert other.list(["best", "ÜBUNG"], algorithm_id=version.algorithm_id, training_id="t") == [saved]
        assert other.list(negative_tags=["BEST"]) == other.list(training_id="u") == []
        assert not other.is_empty()
        assert marks(store) == []

    @pytest.mark.parametrize("size", [0, 5, 2 * MIB + 1])
    def test_values_of_every_kind(
        self,
        store: ObjectStore,
        registry: Registry,
        version: AlgorithmVersion,
        scratch: Path,
        tmp_path: Path,
        size: int,
    ) -> None:
        """Bytes, paths and open files hold the same content, which is stored once; a stream is read from its start."""
        data = np.random.default_rng(0).bytes(size)
        path = tmp_path / "w.bin"
        path.write_bytes(data)
        at_end = io.BytesIO(data)
        at_end.seek(0, io.SEEK_END)
        striped = memoryview(np.repeat(np.frombuffer(data, np.uint8), 2).tobytes())[::2]
        with path.open("rb") as opened:
            opened.read(1)
            values: list[AssetValue] = [data, bytearray(data), memoryview(data), striped, path, at_end, opened]
            for value in [*values, seekless(data)]:
                saved = save(registry.checkpoints, version, {"w": value})
                assert (saved.assets["w"].sha256, saved.assets["w"].size) == (digest(data), size)
                assert store.get(ASSETS, saved.assets["w"].key) == data
        assert len(keys(store, ASSETS)) == 2 + 1
        assert path.read_bytes() == data
        assert list(scratch.iterdir()) == []

    def test_what_numpy_made_becomes_plain_json(self, registry: Registry, version: AlgorithmVersion) -> None:
        """Scalars are numbers and arrays lists in the stored record."""
        properties = {"loss": np.float32(0.5), "epoch": np.int64(3), "curve": np.arange(3), "good": np.bool_(True)}
        saved = save(registry.checkpoints, version, {"w": b"x"}, properties=properties)
        assert registry.checkpoints.get(saved.checkpoint_id).properties == {
            "loss": 0.5, "epoch": 3, "curve": [0, 1, 2], "good": True,
        }  # fmt: skip


class Hostile:
    """Raises whatever is done with it."""

    dtype = "float32"

    def tolist(self) -> Any:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


LOOP: list[Any] = []
LOOP.append(LOOP)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=8,
)


class TestProperties:
    @given(st.dictionaries(st.text(st.characters()) | st.integers() | st.none(), json_values, max_size=4))
    @settings(max_examples=200, deadline=None)
    def test_whatever_they_hold(self, properties: dict[Any, Any]) -> None:
        """Properties are refused, naming one of them, or a record holds them and reads back the same."""
        try:
            kept = plain_properties(properties)
        except InvalidInputError as error:
            assert error.code == "checkpoint_manifest_invalid"
            json.dumps(error.details).encode()
            error.message.encode()
            return
        record = CheckpointRecord(
            checkpoint_id="c", parent_algorithm_id="a", training_id="t", created_at=utc_now(), properties=kept
        )
        read = CheckpointRecord.model_validate_json(record.model_dump_json())
        assert read.properties == kept == json.loads(json.dumps(properties))

    @pytest.mark.parametrize(
        ("properties", "said"),
        [
            ({"loss": float("nan")}, "'loss'.*nan"),
            ({"ok": 1, "bad": {1, 2}}, "'bad'.*set"),
            ({"bad": Hostile()}, "'bad'.*no"),
            ({"bad": LOOP}, "'bad'.*nested"),
            ({3: 1}, "3.*strings"),
            ({"bad": "\ud800"}, "'bad'.*Unicode"),
            ({"bad": 10**5000}, "JSON"),
            ({"bad": "x" * (1 << 20)}, "1048576"),
            (["loss"], "list"),
        ],
    )
    def test_what_is_no_json_is_refused_by_name(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, properties: Any, said: str
    ) -> None:
        """Nothing is stored then."""
        with pytest.raises(InvalidInputError, match=said) as caught:
            save(registry.checkpoints, version, {"w": b"x"}, properties=properties)
        assert caught.value.code == "checkpoint_manifest_invalid"
        assert registry.checkpoints.is_empty()

    @pytest.mark.parametrize("tags", ["text", ["a", 3], [None], ["\ud800"]])
    def test_tags_that_are_no_texts(self, registry: Registry, version: AlgorithmVersion, tags: Any) -> None:
        """They are refused, a lone text, too: each of its letters would be one."""
        with pytest.raises(InvalidInputError, match="tags") as caught:
            save(registry.checkpoints, version, {"w": b"x"}, tags=tags)
        assert caught.value.code == "checkpoint_manifest_invalid"


class Failing(io.BytesIO):
    """A stream whose second piece does not come."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(b"x" * (3 * MIB))
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self.error
        return super().read(size)


def closed() -> io.BytesIO:
    stream = io.BytesIO(b"x")
    stream.close()
    return stream


class TestRefusals:
    @pytest.mark.parametrize(
        ("assets", "code", "said"),
        [
            ({}, "checkpoint_empty", "at least one"),
            ({"w": b"x", "files/none": b"y"}, "checkpoint_asset_path_invalid", "'files/none'.*v, w"),
            ({3: b"x"}, "checkpoint_asset_path_invalid", "3"),
            ({"\ud800": b"x"}, "checkpoint_asset_path_invalid", "ud800"),
            ([b"x"], "checkpoint_asset_invalid", "dict"),
            ({"w": "weights.pt"}, "checkpoint_asset_invalid", r"'w'.*pathlib\.Path"),
            ({"w": {"layer": 1}}, "checkpoint_asset_invalid", "'w'.*dict.*BytesIO"),
            ({"w": np.zeros(3)}, "checkpoint_asset_invalid", "'w'.*ndarray"),
            ({"w": io.StringIO("text")}, "checkpoint_asset_invalid", "'w'.*binary mode"),
            ({"w": closed()}, "checkpoint_asset_invalid", "'w'.*closed"),
            ({"w": Failing(OSError("gone"))}, "checkpoint_asset_invalid", "'w'.*gone"),
            ({"w": Path("/nowhere/w")}, "checkpoint_asset_invalid", "'w'.*nowhere"),
            ({"w": Path("/")}, "checkpoint_asset_invalid", "'w'.*no file"),
        ],
    )
    def test_what_cannot_be_saved_leaves_nothing(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, scratch: Path,
        assets: Any, code: str, said: str,
    ) -> None:  # fmt: skip
        """The error names the asset and what to do; no object, no pin and no file is left of what was good."""
        with pytest.raises(InvalidInputError, match=said) as caught:
            save(registry.checkpoints, version, assets)
        assert caught.value.code == code
        json.dumps(caught.value.details).encode()
        assert keys(store, CHECKPOINTS) == marks(store) == list(scratch.iterdir()) == []
        assert len(keys(store, ASSETS)) == 2

    @pytest.mark.parametrize("error", [RuntimeError("boom"), TaskStoppedException(), KeyboardInterrupt()])
    def test_a_stream_that_raises_something_else(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, scratch: Path, error: BaseException
    ) -> None:
        """The author's own error comes through as it is, and nothing is left."""
        with pytest.raises(type(error)) as caught:
            save(registry.checkpoints, version, {"w": Failing(error)})
        assert caught.value is error
        assert keys(store, CHECKPOINTS) == marks(store) == list(scratch.iterdir()) == []

    def test_a_stop_while_it_is_stored(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, scratch: Path
    ) -> None:
        """Contents that had been stored by then go again."""
        stored: list[int] = []

        def passed(size: int) -> None:
            stored.append(size)
            if sum(stored) > 2 * MIB:
                raise TaskStoppedException

        with pytest.raises(TaskStoppedException):
            save(registry.checkpoints, version, {"w": b"0" * MIB, "v": b"1" * (2 * MIB)}, passed=passed)
        assert keys(store, CHECKPOINTS) == marks(store) == list(scratch.iterdir()) == []
        assert len(keys(store, ASSETS)) == 2

    def test_a_file_that_changes_meanwhile(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, tmp_path: Path
    ) -> None:
        """It is noticed, and the error says so."""
        path = tmp_path / "w"
        path.write_bytes(b"first")

        def passed(size: int) -> None:
            path.write_bytes(b"other")

        with pytest.raises(InvalidInputError, match="changed") as caught:
            save(registry.checkpoints, version, {"w": path}, passed=passed)
        assert caught.value.code == "checkpoint_asset_invalid"
        assert keys(store, CHECKPOINTS) == marks(store) == []
        assert len(keys(store, ASSETS)) == 2

    def test_an_algorithm_that_is_gone(self, store: ObjectStore, registry: Registry, version: AlgorithmVersion) -> None:
        """Nothing large is read for it."""
        registry.remove(version.algorithm_id)
        with pytest.raises(NotFoundError) as caught:
            save(registry.checkpoints, version, {"w": Failing(RuntimeError("was read"))})
        assert caught.value.code == "algorithm_not_found"
        assert keys(store, CHECKPOINTS) == []

    def test_a_full_disk(
        self, registry: Registry, version: AlgorithmVersion, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch,
        store: ObjectStore,
    ) -> None:  # fmt: skip
        """What is on its way is taken off the disk again, and the error can be tried again."""
        monkeypatch.setattr(store, "scratch", lambda: small_disk.path / "scratch")
        small_disk.fill(leave=MIB)
        with pytest.raises(StorageError, match="'w'") as caught:
            save(registry.checkpoints, version, {"w": io.BytesIO(bytes(3 * MIB))})
        assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
        assert not (small_disk.path / "scratch").exists()
        assert keys(store, CHECKPOINTS) == marks(store) == []


class TestMemory:
    def test_a_large_file_passes_in_pieces(
        self, version: AlgorithmVersion, store: ObjectStore, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No piece that is read is larger than a mebibyte, and bytes are cut, not copied."""
        sizes: list[int] = []
        inner = checkpoint_contents._spool

        def spool(name: str, pieces: Any, path: Path, passed: Callable[[int], None]) -> Any:
            def noted() -> Any:
                for piece in pieces:
                    sizes.append(len(piece))
                    yield piece

            return inner(name, noted(), path, passed)

        monkeypatch.setattr(checkpoint_contents, "_spool", spool)
        save(registry.checkpoints, version, {"w": io.BytesIO(bytes(5 * MIB)), "v": bytearray(5 * MIB)})
        assert sizes == [MIB] * 10


class TestReading:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        return any_store

    @pytest.mark.parametrize("checkpoint_id", ["none", "", "../x", "a/b", "\ud800", "x" * 600])
    def test_one_that_is_not_there(self, registry: Registry, checkpoint_id: str) -> None:
        """Reading and deleting it say so, whatever the id looks like."""
        for act in (registry.checkpoints.get, registry.checkpoints.delete):
            with pytest.raises(NotFoundError) as caught:
                act(checkpoint_id)
            assert caught.value.code == "checkpoint_not_found"
            json.dumps(caught.value.details).encode()

    def test_a_broken_one(
        self, store: ObjectStore, registry: Registry, version: AlgorithmVersion, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is named when it is asked for, left out of lists and metrics with a warning, and can be deleted."""
        good = save(registry.checkpoints, version, {"w": b"good"})
        bad = save(registry.checkpoints, version, {"w": b"bad"}).checkpoint_id
        store.put(CHECKPOINTS, f"{RECORDS}{bad}", b"{")
        fresh = Registry(store)
        with pytest.raises(StorageError, match=bad) as caught:
            fresh.checkpoints.get(bad)
        assert caught.value.code == "invalid_checkpoint_record"
        assert fresh.checkpoints.list() == [good]
        assert fresh.find(version.algorithm_id).storage_metrics.checkpoint_count == 1
        assert bad in caplog.text
        with pytest.raises(StorageError, match=bad):  # it may name anything
            collect(store, 2)
        fresh.checkpoints.delete(bad)
        assert fresh.checkpoints.ids_of_training("t") == [good.checkpoint_id]
        collect(store, 2)
        assert len(keys(store, ASSETS)) == 2 + 1
        assert len(keys(store, CHECKPOINTS)) == 3

    def test_many_of_one_training(self, store: ObjectStore, registry: Registry, version: AlgorithmVersion) -> None:
        """They come oldest first, at two listings; marks without a record are passed over."""
        ids = [save(registry.checkpoints, version, {"w": b"%d" % n}).checkpoint_id for n in range(8)]
        save(registry.checkpoints, version, {"w": b"other"}, training_id="u")
        store.delete(CHECKPOINTS, f"{RECORDS}{ids.pop(3)}")
        store.create(CHECKPOINTS, f"{BY_TRAINING}t/zzz", b"")
        steps: list[str] = []

        def note(name: str, action: Callable[[], Any]) -> Any:
            steps.append(name.partition(" ")[0])
            return action()

        assert CheckpointStore(Hooked(store, note)).ids_of_training("t") == ids
        assert steps == ["list", "list"]
        assert [each.checkpoint_id for each in registry.checkpoints.list(training_id="t")] == ids


class TestDeleting:
    def test_what_others_name_stays(self, store: ObjectStore, registry: Registry, package: PackageMaker) -> None:
        """A deployed asset, another checkpoint's and another algorithm's are there afterwards; its own is gone."""
        version = registry.deploy(package(assets=ASSETS_GIVEN)).version
        registry.deploy(package(name="other", assets={"x": b"other's"}))
        kept = save(registry.checkpoints, version, {"w": b"shared"})
        first = save(registry.checkpoints, version, {"w": b"shared", "v": b"own"})
        second = save(registry.checkpoints, version, {"w": b"deployed", "v": b"other's"})
        before = set(keys(store, ASSETS))
        CheckpointStore(store).delete(second.checkpoint_id)
        assert set(keys(store, ASSETS)) == before
        registry.checkpoints.delete(first.checkpoint_id)
        assert before - set(keys(store, ASSETS)) == {first.assets["v"].key}
        assert registry.checkpoints.list() == [kept]
        assert len(keys(store, CHECKPOINTS)) == 3
        assert marks(store) == []

    def test_a_removed_minor_keeps_what_a_checkpoint_names(
        self, store: ObjectStore, registry: Registry, package: PackageMaker
    ) -> None:
        """The checkpoint of a minor that is gone runs with the next one, with all its contents."""
        version = registry.deploy(package(assets={"w": b"old"})).version
        newer = registry.deploy(package(code=b"new", assets={"w": b"new"})).version
        saved = save(registry.checkpoints, version, {"w": b"old"})
        registry.remove(version.algorithm_id, version.minor)
        assert registry.checkpoints.list() == [saved]
        assert store.get(ASSETS, with_checkpoint(newer, saved).assets["w"].key) == b"old"

    @pytest.mark.parametrize("minor", [None, 0])
    def test_checkpoints_go_with_the_last_minor(
        self,
        store: ObjectStore,
        registry: Registry,
        package: PackageMaker,
        version: AlgorithmVersion,
        minor: int | None,
    ) -> None:
        """Records, marks and contents; another algorithm's stay."""
        other = registry.deploy(package(name="other", assets={"w": b"x"})).version
        saved = save(registry.checkpoints, other, {"w": b"learned"})
        save(registry.checkpoints, version, {"w": b"learned", "v": b"own"})
        registry.remove(version.algorithm_id, minor)
        assert registry.checkpoints.list() == [saved]
        assert len(keys(store, CHECKPOINTS)) == 3
        assert set(keys(store, ASSETS)) == {digest(b"x"), digest(b"learned")}

    def test_what_crashes_leave_is_collected(
        self, store: ObjectStore, registry: Registry, package: PackageMaker, version: AlgorithmVersion
    ) -> None:
        """Marks without a record, and checkpoints of an algorithm that is gone, a day later; nothing that is used."""
        other = registry.deploy(package(name="other", assets={"w": b"x"})).version
        kept = save(registry.checkpoints, other, {"w": b"kept"})
        half = save(registry.checkpoints, other, {"w": b"half"})
        lost = save(registry.checkpoints, version, {"w": b"lost"})
        store.delete(CHECKPOINTS, f"{RECORDS}{half.checkpoint_id}")
        store.create(ALGORITHMS, gone_key(version.algorithm_id, 0), b"")
        collect(store, 0.5)
        assert len(keys(store, CHECKPOINTS)) == 3 + 2 + 3
        assert store.exists(ASSETS, lost.assets["w"].key)
        broom = collect(store, 1.5)
        assert keys(store, CHECKPOINTS) == [
            f"{BY_ALGORITHM}{other.algorithm_id}/{kept.checkpoint_id}",
            f"{RECORDS}{kept.checkpoint_id}",
            f"{BY_TRAINING}t/{kept.checkpoint_id}",
        ]
        assert set(keys(store, ASSETS)) == {digest(b"x"), digest(b"kept")}
        counts = {each.what: each.count for each in broom.report().removed}
        assert counts["checkpoints of removed algorithms"] == 1
        assert counts["marks of checkpoints that are not there"] == 2

    def test_a_dry_run_leaves_them(self, store: ObjectStore, registry: Registry, version: AlgorithmVersion) -> None:
        """It counts what would go."""
        save(registry.checkpoints, version, {"w": b"lost"})
        store.create(ALGORITHMS, gone_key(version.algorithm_id, 0), b"")
        broom = Broom(store, utc_now() + timedelta(days=2), dry_run=True)
        collect_algorithms(broom, Catalogue(store, 1 << 20))
        assert "checkpoints of removed algorithms" in {each.what for each in broom.report().removed}
        assert len(keys(store, CHECKPOINTS)) == 3


class TestMetrics:
    def test_checkpoints_count(self, store: ObjectStore, registry: Registry, package: PackageMaker) -> None:
        """Their contents once, beside the deployed ones, and their records; also in kept lists and after a deploy."""
        version = registry.deploy(package(assets=ASSETS_GIVEN)).version
        before = registry.list()[0].storage_metrics
        assert (before.checkpoint_count, before.checkpoint_manifest_bytes) == (0, 0)
        first = save(registry.checkpoints, version, {"w": b"learned", "v": b"also"})
        save(Registry(store).checkpoints, version, {"w": b"learned"})
        sizes = sum(info.size for info in store.list(CHECKPOINTS))
        again = registry.deploy(package(assets=ASSETS_GIVEN)).record
        for record in (*registry.list(), registry.find(version.algorithm_id), *Registry(store).list(), again):
            found = record.storage_metrics
            assert (found.checkpoint_count, found.checkpoint_manifest_bytes) == (2, sizes)
            assert (found.asset_count, found.asset_bytes) == (3, before.asset_bytes + len(b"learned"))
            assert found.logical_size_bytes == found.module_bytes + found.asset_bytes + sizes
        registry.checkpoints.delete(first.checkpoint_id)
        assert registry.list()[0].storage_metrics.checkpoint_count == 1

    def test_a_list_reads_every_checkpoint_once(self, package: PackageMaker) -> None:
        """However many algorithms and checkpoints there are, a list after a change reads what is new."""
        store = MemoryStore()
        writer = Registry(store)
        for number in range(5):
            version = writer.deploy(package(name=f"a{number}", assets=ASSETS_GIVEN)).version
            for value in range(4):
                save(writer.checkpoints, version, {"w": b"%d" % value})
        steps: list[str] = []

        def note(name: str, action: Callable[[], Any]) -> Any:
            steps.append(name)
            return action()

        reader = Registry(Hooked(store, note))
        reader.list()
        assert sum(step.startswith(f"get {CHECKPOINTS}") for step in steps) == 20
        steps.clear()
        reader.list()
        assert not [step for step in steps if CHECKPOINTS in step]
        new = save(writer.checkpoints, version, {"w": b"new"}).checkpoint_id
        reader.list()
        record = f"{RECORDS}{new}"
        assert [step for step in steps if CHECKPOINTS in step] == [
            f"list {CHECKPOINTS}/{RECORDS}",
            f"get {CHECKPOINTS}/{record}",
        ]


class TestOverlay:
    def test_its_assets_stand_in(self, registry: Registry, version: AlgorithmVersion) -> None:
        """Only those that it has; the version itself is as before."""
        saved = save(registry.checkpoints, version, {"w": b"learned"})
        over = with_checkpoint(version, saved)
        assert over.assets == {"w": saved.assets["w"], "v": version.assets["v"]}
        assert version.assets["w"].sha256 == digest(b"deployed")
        assert over.model_copy(update={"assets": version.assets}) == version

    def test_what_does_not_fit(self, registry: Registry, version: AlgorithmVersion, package: PackageMaker) -> None:
        """Another algorithm's checkpoint, and one with an asset that the version does not have, are named."""
        saved = save(registry.checkpoints, version, {"w": b"learned", "v": b"x"})
        other = registry.deploy(package(name="other", assets=ASSETS_GIVEN)).version
        smaller = registry.deploy(package(assets={"w": b"w"})).version
        for target, code in ((other, "invalid_checkpoint"), (smaller, "checkpoint_asset_incompatible")):
            with pytest.raises(InvalidInputError, match=saved.checkpoint_id) as caught:
                with_checkpoint(target, saved)
            assert caught.value.code == code
            assert caught.value.details["checkpoint_id"] == saved.checkpoint_id
            assert caught.value.details["algorithm_id"] == target.algorithm_id
        assert caught.value.details["paths"] == ["v"]


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


def test_an_error_of_the_store_is_its_own(store: ObjectStore, version: AlgorithmVersion, registry: Registry) -> None:
    """A record whose answer was lost keeps its pin: it may appear later, and then has its contents."""

    def refuse(name: str, action: Callable[[], Any]) -> Any:
        if name.startswith(f"create {CHECKPOINTS}/{RECORDS}"):
            raise StorageError("the answer was lost", retryable=True)
        return action()

    with pytest.raises(CompoxError, match="answer was lost"):
        save(CheckpointStore(Hooked(store, refuse)), version, {"w": b"learned"})
    assert len(keys(store, SYSTEM, PINS)) == 1
    assert registry.checkpoints.list() == [] == registry.checkpoints.ids_of_training("t")
    collect(store, 0)
    assert digest(b"learned") in keys(store, ASSETS)

"""The id that an algorithm had where it was bundled goes on meaning it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.aliases import ALIASES, Aliases
from compox_core.algorithms.registry import Registry
from compox_core.errors import ConflictError, NotFoundError
from compox_core.identity import algorithm_id
from compox_core.records import ExecutionRequest, TaskStatus
from compox_core.storage import ASSETS, SYSTEM, ObjectStore
from tests.algorithms.learned import save
from tests.algorithms.packages import PackageMaker
from tests.algorithms.steps import Hooked
from tests.algorithms.views import ID
from tests.bundle.shipping import Held, bundle_of, prepared, ship

OLD = "11111111-2222-1333-8444-555555555555"


def known_as(source: Held, *ids: str) -> Held:
    """Return a bundle whose algorithms had these ids."""
    algorithms = [
        each.model_copy(update={"algorithm_id": name})
        for each, name in zip(source.snapshot.algorithms, ids, strict=True)
    ]
    source.snapshot = source.snapshot.model_copy(update={"algorithms": algorithms})
    return source


class TestAliases:
    @pytest.fixture
    def store(self, any_store: ObjectStore) -> ObjectStore:
        """A store of every kind."""
        return any_store

    @pytest.fixture
    def source(self, package: PackageMaker) -> Held:
        """A bundle of an algorithm with an id of its own."""
        return known_as(prepared(lambda registry: registry.deploy(package(assets={"w": b"w"}))), OLD)

    def test_finding_and_removing_by_it(self, store: ObjectStore, source: Held) -> None:
        """Whoever asks by the old id gets the algorithm under the id that it has here; when it is gone, nobody does."""
        assert ship(source, store).algorithms[0].alias
        registry = Registry(store)
        assert registry.find(OLD).algorithm_id == registry.version(OLD).algorithm_id == registry.resolve(OLD) == ID
        assert [each.algorithm_id for each in registry.list()] == [ID]
        registry.remove(OLD)
        for ask in (registry.find, registry.version, registry.remove, registry.resolve):
            with pytest.raises(NotFoundError) as info:
                ask(OLD)
            assert info.value.code == "algorithm_not_found"
            assert OLD in info.value.message
        ship(source, store)  # it comes back, and the old id with it
        assert registry.find(OLD).minors == [1]

    def test_what_is_not_removable_under_any_id(self, store: ObjectStore, package: PackageMaker) -> None:
        """The flags are those of the algorithm that is meant."""
        ship(known_as(prepared(lambda registry: registry.deploy(package(removable=False))), OLD), store)
        with pytest.raises(ConflictError):
            Registry(store).remove(OLD)


def test_one_that_is_renamed(store: ObjectStore, package: PackageMaker) -> None:
    """The id that a name gives means the algorithm under its new name, until one is deployed under the old."""
    ship(prepared(lambda registry: registry.deploy(package())), store, {"denoise": "other"})
    registry = Registry(store)
    assert registry.find(ID).name == "other"
    registry.deploy(package(code=b"own"))
    assert registry.find(ID).name == "denoise"


def test_no_alias_for_what_lives_here(store: ObjectStore, package: PackageMaker) -> None:
    """An id that an algorithm here has, or gets by the same import, means that, and the plan says so."""

    def fill(registry: Registry) -> None:
        for name in ("a", "b"):
            registry.deploy(package(name, code=name.encode()))

    report = ship(prepared(fill), store, {"a": "b", "b": "c"})
    assert [each.alias for each in report.algorithms] == [True, False]
    registry = Registry(store)
    names = [registry.find(algorithm_id(name, "1")).name for name in "abc"]
    assert names == ["b", "b", "c"]
    assert "an algorithm here has that id" in str(report)


def test_no_alias_leads_to_an_alias(store: ObjectStore) -> None:
    """An id that means a second one, which means a third, means nothing."""
    other = algorithm_id("x", "1")
    Aliases(store).create(OLD, other)
    Aliases(store).create(other, ID)
    with pytest.raises(NotFoundError):
        Registry(store).find(OLD)


def test_an_alias_stays_with_the_first(store: ObjectStore, package: PackageMaker) -> None:
    """It is not given to another algorithm as long as the one that it means lives."""
    source = known_as(prepared(lambda registry: registry.deploy(package())), OLD)
    ship(source, store, {"denoise": "first"})
    report = ship(source, store, {"denoise": "second"})
    assert Registry(store).find(OLD).name == "first"
    assert "it means" in str(report)
    Registry(store).remove(OLD)
    assert ship(source, store, {"denoise": "second"}).algorithms[0].alias
    assert Registry(store).find(OLD).name == "second"


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff", b"../../x"])
def test_a_broken_alias(store: ObjectStore, content: bytes) -> None:
    """What is no id means nothing."""
    store.put(SYSTEM, ALIASES + OLD, content)
    with pytest.raises(NotFoundError):
        Registry(store).find(OLD)


def test_those_that_are_here_cost_nothing(store: ObjectStore, package: PackageMaker) -> None:
    """An id that an algorithm has is looked up without a look at the aliases."""
    Registry(store).deploy(package())
    asked: list[str] = []

    def step(name: str, action: object) -> object:
        asked.append(name)
        return action()  # type: ignore[operator]

    registry = Registry(Hooked(store, step))
    registry.find(ID)
    registry.version(ID)
    assert asked
    assert not [name for name in asked if ALIASES in name]


def test_jobs_and_checkpoints_by_the_old_id() -> None:
    """A client that has saved the id runs the algorithm, and finds its checkpoints and runs, under that and the new
    one."""
    name = "template_denoising_algorithm"
    image = np.random.default_rng(0).random((2, 16, 16), np.float32)
    with cx.Engine("memory://", executor="inline") as there, cx.Engine("memory://", executor="inline") as engine:
        deployed = there.deploy(Path("algorithms") / name)
        record, version = deployed.record, deployed.version
        readme = version.assets["README.md"]
        save(Registry(there.store).checkpoints, version, {"README.md": there.store.get(ASSETS, readme.key)})
        ship(known_as(bundle_of(there.store), OLD), engine.store)
        (checkpoint,) = engine.checkpoints.list(algorithm=OLD)
        assert engine.checkpoints.list(algorithm=record.algorithm_id) == [checkpoint]
        run = engine.executions.submit(
            ExecutionRequest(
                algorithm_id=OLD,
                input_dataset_ids=[engine.files.save({"image": layer}) for layer in image],
                checkpoint_id=checkpoint.checkpoint_id,
            )
        )
        done = engine.executions.get(run.execution_id)
        assert (done.status, done.algorithm_id) == (TaskStatus.COMPLETED, record.algorithm_id)
        found = engine.executions.page(algorithm_ids=engine.algorithms.ids(OLD))
        assert [each.execution_id for each in found.records] == [run.execution_id]

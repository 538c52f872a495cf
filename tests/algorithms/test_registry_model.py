"""The registry against a plain model of it, under any sequence of deploys and removals."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from compox_core.algorithms.registry import Registry
from compox_core.errors import ConflictError, NotFoundError
from compox_core.identity import algorithm_id
from compox_core.records import AlgorithmMetadata
from compox_core.storage import ASSETS, MODULES, SYSTEM
from compox_core.storage.memory import MemoryStore
from tests.algorithms.packages import PackageMaker, digest

Content = tuple[bytes, tuple[bytes, ...]]


@dataclass
class Model:
    """One algorithm as it should be."""

    name: str
    major: str
    minors: dict[int, Content] = field(default_factory=dict)
    highest: int = -1
    removable: bool = False


class RegistryMachine(RuleBasedStateMachine):
    """Deploys and removes, and compares everything a reader can see after each step."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.package = PackageMaker(Path(self.folder.name))
        self.store = MemoryStore()
        self.registry = Registry(self.store)
        self.models: dict[str, Model] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(
        name=st.sampled_from(["a", "A", "b"]),
        major=st.sampled_from(["1", "2"]),
        minor=st.integers(0, 6),
        code=st.sampled_from([b"x", b"y", b"z"]),
        assets=st.lists(st.sampled_from([b"1", b"2", b"3"]), max_size=2).map(tuple),
        removable=st.booleans(),
    )
    def deploy(
        self, name: str, major: str, minor: int, code: bytes, assets: tuple[bytes, ...], removable: bool
    ) -> None:
        model = self.models.setdefault(algorithm_id(name, major), Model(name, major))
        content = (code, assets)
        known = bool(model.minors) and model.minors[max(model.minors)] == content
        if not known:
            model.highest += 1
            if not model.minors:
                model.highest = max(model.highest, minor)
            model.minors[model.highest] = content
        model.removable = removable
        done = self.registry.deploy(
            self.package(
                name,
                major,
                minor,
                code=code,
                assets={str(n): data for n, data in enumerate(assets)},
                metadata=AlgorithmMetadata(tags=[code.decode()]),
                removable=removable,
            )
        )
        assert done.created is not known
        assert done.version.minor == max(model.minors)
        assert done.record.minors == sorted(model.minors)
        assert bool(done.warnings) == (name != model.name)

    @rule(
        name=st.sampled_from(["a", "b"]),
        major=st.sampled_from(["1", "2"]),
        minor=st.none() | st.integers(0, 8),
        force=st.booleans(),
    )
    def remove(self, name: str, major: str, minor: int | None, force: bool) -> None:
        identifier = algorithm_id(name, major)
        model = self.models.get(identifier, Model(name, major))
        if not model.minors or (minor is not None and minor not in model.minors):
            with pytest.raises(NotFoundError):
                self.registry.remove(identifier, minor, force=force)
        elif not (force or model.removable):
            with pytest.raises(ConflictError):
                self.registry.remove(identifier, minor)
        else:
            self.registry.remove(identifier, minor, force=force)
            for gone in [minor] if minor is not None else list(model.minors):
                del model.minors[gone]

    @invariant()
    def readers_see_the_model(self) -> None:
        for registry in (self.registry, Registry(self.store)):
            living = {key: model for key, model in self.models.items() if model.minors}
            records = registry.list()
            assert {record.algorithm_id for record in records} == living.keys()
            for record in records:
                model = living[record.algorithm_id]
                latest = model.minors[max(model.minors)]
                assert (record.name, record.major) == (model.name, model.major)
                assert (record.minors, record.latest_minor) == (sorted(model.minors), max(model.minors))
                assert record.removable == model.removable
                assert record.metadata.tags == [latest[0].decode()]
                assert registry.version(record.algorithm_id).module.sha256 == digest(latest[0])

    @invariant()
    def the_store_holds_what_is_named_and_no_more(self) -> None:
        contents = [content for model in self.models.values() for content in model.minors.values()]
        modules = {digest(code) for code, _ in contents}
        assets = {digest(data) for _, each in contents for data in each}
        assert {info.key for info in self.store.list(MODULES)} == modules
        assert {info.key for info in self.store.list(ASSETS)} == assets
        assert list(self.store.list(SYSTEM, "blob-")) == []


RegistryMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestRegistryModel = RegistryMachine.TestCase

"""A registry some of whose records are broken."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from compox_core.algorithms.registry import Registry
from compox_core.algorithms.shelves import head_key, minor_key
from compox_core.errors import StorageError
from compox_core.storage import ALGORITHMS, MODULES, ObjectStore
from tests.algorithms.packages import PackageMaker


@pytest.fixture
def registry(store: ObjectStore) -> Registry:
    """A registry on an empty store."""
    return Registry(store)


def keys(store: ObjectStore, collection: str) -> list[str]:
    return [info.key for info in store.list(collection)]


class TestBrokenRecords:
    @pytest.fixture
    def broken(self, registry: Registry, store: ObjectStore, package: PackageMaker) -> Callable[[str], str]:
        """Deploys two minors of one algorithm beside another, and breaks an object of the first."""

        def breaks(name: str, data: bytes = b"{") -> str:
            registry.deploy(package(name="sound"))
            for code in (b"a", b"b"):
                known = registry.deploy(package(name="broken", code=code)).record.algorithm_id
            store.put(ALGORITHMS, f"{known}/{name}", data)
            return known

        return breaks

    @pytest.mark.parametrize("name", ["head", "flags", "minor-0000000001"])
    def test_the_list_leaves_a_broken_algorithm_out(
        self,
        broken: Callable[[str], str],
        registry: Registry,
        caplog: pytest.LogCaptureFixture,
        name: str,
    ) -> None:
        """One broken record costs one entry of the list and a warning that names the object."""
        known = broken(name)
        with caplog.at_level(logging.WARNING):
            assert [record.name for record in registry.list()] == ["sound"]
        assert f"{known}/{name}" in caplog.text
        assert registry.get("sound").minors == [0]
        with pytest.raises(StorageError) as caught:
            registry.find(known)
        assert caught.value.code == "invalid_algorithm_record"

    def test_an_older_minor_that_is_broken_is_left_out(
        self, broken: Callable[[str], str], registry: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The algorithm still lists and runs; asking for that very minor says what is wrong."""
        known = broken("minor-0000000000")
        assert registry.find(known).minors == [1]
        assert registry.version(known).minor == 1
        assert "minor-0000000000" in caplog.text
        with pytest.raises(StorageError, match="minor-0000000000"):
            registry.version(known, 0)

    def test_a_record_of_another_version_is_broken(
        self, broken: Callable[..., str], registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """A record under the wrong key is not believed."""
        other = registry.deploy(package(name="other")).record.algorithm_id
        known = broken("minor-0000000001", store.get(ALGORITHMS, minor_key(other, 0)))
        with pytest.raises(StorageError, match="another version"):
            registry.version(known)

    @pytest.mark.parametrize("name", ["head", "flags", "minor-0000000001"])
    def test_the_next_deploy_mends_it(
        self, broken: Callable[[str], str], registry: Registry, package: PackageMaker, name: str
    ) -> None:
        """Deploying again brings a broken algorithm back, without loss of what can be read."""
        known = broken(name)
        registry.deploy(package(name="broken", code=b"b"))
        assert registry.find(known).minors == ([0, 2] if name.startswith("minor") else [0, 1])

    def test_a_missing_head_is_named_and_mended(
        self, registry: Registry, store: ObjectStore, package: PackageMaker
    ) -> None:
        """Minors without a head, as after a half restored backup, are an error that a deploy mends."""
        known = registry.deploy(package()).record.algorithm_id
        store.delete(ALGORITHMS, head_key(known))
        with pytest.raises(StorageError, match="head"):
            registry.find(known)
        assert registry.deploy(package()).created is False
        assert registry.find(known).minors == [0]

    def test_nothing_is_collected_while_a_version_cannot_be_read(
        self,
        broken: Callable[[str], str],
        registry: Registry,
        store: ObjectStore,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A version that cannot be read may name any blob, so a removal leaves them all, and says so."""
        broken("minor-0000000000")
        before = keys(store, MODULES)
        registry.remove(registry.get("sound").algorithm_id)
        assert keys(store, MODULES) == before
        assert "not collected" in caplog.text

"""The bundle that compox 3.2.0 built: what is in it, and that it runs."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.bundle.keys import BundleKey
from compox_core.bundle.planning import plan_import
from compox_core.bundle.v1.reader import V1Source, open_v1, outline_v1
from compox_core.data import read_hdf5
from compox_core.errors import InvalidInputError
from compox_core.records import TaskStatus
from compox_core.storage.memory import MemoryStore
from tests.bundle.shipping import ship

INTEROP = Path(__file__).parents[2] / "artefacts" / "interop"
BUNDLE = INTEROP / "bundles" / "v1.zip"
KEY = BundleKey.parse((INTEROP / "bundles" / "v1.key").read_text("utf-8"))

needs_311 = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="its code is compiled for Python 3.11")


@pytest.fixture(scope="module")
def bundle() -> Iterator[V1Source]:
    with open_v1(BUNDLE, KEY) as opened:
        yield opened


def test_it_holds_what_the_ancestor_says(bundle: V1Source) -> None:
    """Collections, counts and metadata are those of its own `inspect`; the outline tells them without a key."""
    said = json.loads((INTEROP / "bundles" / "v1.inspect.json").read_text("utf-8"))
    for manifest in (bundle.manifest, outline_v1(BUNDLE)):
        assert manifest.declared() == said["collections"]
        assert len(manifest.objects) == said["object_count"]
        assert manifest.metadata is not None and manifest.metadata.created_at is not None
        told = manifest.metadata.model_dump() | {"created_at": manifest.metadata.created_at.isoformat()}
        assert told == said["metadata"]
        counts = {name: sum(entry.collection == name for entry in manifest.objects) for name in manifest.declared()}
        assert counts == said["object_counts_by_collection"]


def test_minors_and_lineage_are_told(bundle: V1Source) -> None:
    """Three algorithms; of `level_cut` three minors, two of them with one code, and checkpoints after their parents."""
    box, level, regions = bundle.snapshot.algorithms
    told = [(each.name, each.major, [version.minor for version in each.versions]) for each in (box, level, regions)]
    assert told == [("box_mean", "1", [0]), ("level_cut", "2", [3, 4, 5]), ("two_regions", "0", [1])]
    first, other_asset, other_code = level.versions
    assert first.module == other_asset.module != other_code.module
    assert first.assets["files/level.json"] != other_asset.assets["files/level.json"]
    assert other_asset.assets == other_code.assets
    assert [version.module.python for version in (*box.versions, *level.versions)] == [None, "3.11", "3.11", "3.11"]
    assert not regions.flags.exportable and level.flags.removable
    assert level.versions[0].metadata.training_parameters[0].name == "steps"
    parents = {each.checkpoint_id: each.parent_checkpoint_id for each in level.checkpoints}
    one, two, three, four = parents
    assert parents == {one: None, two: None, three: two, four: two}
    assert {each.parent_algorithm_id for each in level.checkpoints} == {level.algorithm_id}
    assert level.checkpoints[-1].tags == ["experiment:2"] and level.checkpoints[-1].properties["step"] == 1


def test_the_same_content_is_the_same(bundle: V1Source) -> None:
    """Every content has the SHA-256 and size that the snapshot says; it comes once, and only where it is wanted."""
    wanted = {content.sha256 for content in bundle.snapshot.contents()}
    seen = []
    for content, stream in bundle.contents(wanted):
        data = b"".join(iter(partial(stream.read, 7), b""))
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (content.sha256, content.size)
        seen.append(content)
    assert sorted(seen) == sorted(bundle.snapshot.contents())
    one = seen[5]
    assert [content for content, _ in bundle.contents({one.sha256})] == [one]


def test_it_verifies(bundle: V1Source) -> None:
    """Verifying reads all of its objects and says how far it is."""
    steps: list[tuple[int, int]] = []
    bundle.verify(lambda done, total: steps.append((done, total)))
    assert steps[-1] == (17316, 17316) and steps == sorted(steps)


def test_compiled_code_of_another_python_is_named(bundle: V1Source) -> None:
    """The refusal names both versions and what is compiled; source and this Python's code pass."""
    level = bundle.snapshot.algorithms[1]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python, refused in ((here, False), (None, False), ("3.99", True)):
        module = level.versions[0].module.model_copy(update={"python": python})
        version = level.versions[0].model_copy(update={"module": module})
        changed = level.model_copy(update={"versions": [version]})
        snapshot = bundle.snapshot.model_copy(update={"algorithms": [changed]})
        if not refused:
            assert plan_import(snapshot, MemoryStore()).changes
            continue
        with pytest.raises(
            InvalidInputError, match=rf"level_cut 2\.3 is compiled for Python 3\.99, and this is Python {here}"
        ) as caught:
            plan_import(snapshot, MemoryStore())
        assert caught.value.code == "python_version_mismatch"


@needs_311
def test_its_algorithms_run(bundle: V1Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled and source, with an own sub-package and with a checkpoint, they answer what they answered there."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    inputs = [INTEROP / "data" / f"input_image_{number}.h5" for number in range(3)]
    with cx.Engine(tmp_path / "store", executor="inline") as engine:
        ship(bundle, engine.store)
        for name in ("box_mean", "two_regions", "level_cut", "level_cut_checkpoint"):
            record = json.loads((INTEROP / "records" / f"execution_{name}.json").read_text("utf-8"))
            algorithm, parameters = name.removesuffix("_checkpoint"), record["additional_parameters"]
            handle = engine.submit(algorithm, inputs, checkpoint=record["checkpoint_id"], parameters=parameters)
            answers = handle.wait(60)
            assert answers.status == TaskStatus.COMPLETED
            for number, identifier in enumerate(answers.output_dataset_ids):
                answer = engine.files.read(identifier)
                expected = read_hdf5(INTEROP / "data" / f"{name}_{number}.h5")
                assert answer.keys() == expected.keys()
                for field, values in expected.items():
                    np.testing.assert_array_equal(answer[field], values)

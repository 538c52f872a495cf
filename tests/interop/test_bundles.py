"""Bundles go both ways between compox 3.2.0 and us, and what is in them runs on the other side."""

from __future__ import annotations

import io
import json
import site
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from compox_core.algorithms.registry import Registry
from compox_core.bundle.collecting import collected
from compox_core.bundle.keys import BundleKey
from compox_core.bundle.v1.reader import open_v1
from compox_core.bundle.v1.writer import create_v1
from compox_core.data import read_hdf5
from compox_core.records import CheckpointRecord, ExecutionRecord
from tests.algorithms.learned import save
from tests.algorithms_shipped.shipped import folder, sample
from tests.bundle.shipping import ship
from tests.engine.authors import image_runner, write_algorithm
from tests.interop.ancestor import Ancestor, ancestor

pytestmark = pytest.mark.slow
INTEROP = Path(__file__).parents[1] / "artefacts" / "interop"
KEY = BundleKey(bytes(range(32)))
TRAINING = "92586358-e53f-11f1-b09e-02fc00000001"
COMPILED = image_runner("import helpers\nreturn helpers.twice(data)", "from inner.deep import ONE")
HELPERS = {"helpers.py": "import inner.deep as deep\n\ndef twice(data):\n    return data * (deep.ONE + 1)\n"}


@dataclass
class Run:
    """What one of our runs was given, and what came of it."""

    algorithm: str
    minor: str | None
    checkpoint: str | None
    record: ExecutionRecord
    inputs: list[Path]
    answers: list[dict[str, Any]]


@dataclass
class Ours:
    """An engine with algorithms, its runs, and the bundle of version 1 that was built of it."""

    engine: cx.Engine
    runs: list[Run]
    checkpoints: list[CheckpointRecord]
    bundle: Path


@pytest.fixture(scope="module")
def old() -> Ancestor:
    """The ancestor."""
    return ancestor()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """Two shipped templates, the trainable algorithm in two minors with checkpoints, and a compiled one."""
    home = tmp_path_factory.mktemp("ours")
    with pytest.MonkeyPatch.context() as patch, cx.Engine("memory://", executor="inline") as engine:
        patch.setenv("COMPOX_MODULE_CACHE", str(home / "modules"))
        for kind in ("denoising", "volume"):
            engine.deploy(folder(kind))
        level = engine.deploy(INTEROP / "algorithms" / "level_cut").version
        files = HELPERS | {"inner/deep.py": "ONE = 1\n"}
        engine.deploy(write_algorithm(home / "c", COMPILED, name="compiled", extra="pyc_only = true", files=files))
        store, first = Registry(engine.store).checkpoints, b'{"level": 0.3}'
        one = save(store, level, {"files/level.json": first}, training_id=TRAINING)
        two = save(
            store, level, {"files/level.json": b'{"level": 0.6}'}, training_id=TRAINING, tags=["Ä"],
            parent_checkpoint_id=one.checkpoint_id, properties={"loss": 0.5},
        )  # fmt: skip
        write_algorithm(home / "d", COMPILED.replace("twice(data)", "twice(data) + 1"), name="compiled",
                        extra="pyc_only = true", files=files)  # fmt: skip
        engine.deploy(home / "d")
        images = [INTEROP / "data" / f"input_image_{number}.h5" for number in range(3)]
        runs = [
            _run(engine, home, "template_denoising_algorithm", sample("denoising")),
            _run(engine, home, "template_volume_algorithm", sample("volume")),
            _run(engine, home, "level_cut", images),
            _run(engine, home, "level_cut", images, checkpoint=one.checkpoint_id),
            _run(engine, home, "level_cut", images, checkpoint=two.checkpoint_id),
            _run(engine, home, "compiled", images, minor="0"),
            _run(engine, home, "compiled", images, minor="1"),
        ]
        with collected(engine.store, Registry(engine.store)) as found:
            create_v1(home / "ours.zip", found.snapshot, found.open, KEY)
        yield Ours(engine, runs, [one, two], home / "ours.zip")


def _run(engine: cx.Engine, home: Path, algorithm: str, data: Any, **more: Any) -> Run:
    """Run an algorithm with its default parameters, which the ancestor leaves to the client."""
    declared = engine.algorithms.get(algorithm).metadata.additional_parameters
    given = {each.name: each.config.default for each in declared}
    record = engine.submit(algorithm, data, parameters=given, **more).wait(60)
    assert record.error is None, record.error
    inputs = []
    for identifier in record.input_dataset_ids:
        inputs.append(home / f"{identifier}.h5")
        with engine.files.open(identifier) as file:
            inputs[-1].write_bytes(file.read())
    answers = [engine.files.read(identifier) for identifier in record.output_dataset_ids]
    return Run(algorithm, more.get("minor"), more.get("checkpoint"), record, inputs, answers)


@pytest.fixture(scope="module")
def theirs(old: Ancestor, ours: Ours, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the ancestor did with our bundle: imported it, ran everything, built a bundle of its own."""
    home = tmp_path_factory.mktemp("theirs")
    request = {
        "bundle": str(ours.bundle),
        "key": KEY.text(),
        "libraries": site.getsitepackages(),
        "outputs": str(home),
        "built": str(home / "theirs.zip"),
        "runs": [
            {
                "algorithm": run.algorithm,
                "minor": run.minor,
                "checkpoint": run.checkpoint,
                "inputs": [str(path) for path in run.inputs],
                "parameters": run.record.additional_parameters,
            }
            for run in ours.runs
        ],
    }
    done = old.run(Path(__file__).with_name("theirs.py"), json.dumps(request), folder=home)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer | {"built": home / "theirs.zip"}


def test_the_ancestor_imports_our_bundle(ours: Ours, theirs: dict[str, Any]) -> None:
    """All of it, with minors and lineage, and it lists them."""
    assert theirs["state"]["last_import_status"] == "COMPLETED"
    assert theirs["state"]["imported_algorithms"] == 4
    records = {each["algorithm_name"]: each for each in theirs["algorithms"]}
    assert {name: [*each["algorithm_minor_version"]] for name, each in records.items()} == {
        record.name: [str(minor) for minor in record.minors] for record in ours.engine.algorithms.list()
    }
    assert records["level_cut"]["checkpoints"] == [each.checkpoint_id for each in ours.checkpoints]


def test_the_ancestor_runs_our_algorithms(ours: Ours, theirs: dict[str, Any]) -> None:
    """From source and compiled, with own modules, ours by theirs, and checkpoints: each answer is ours."""
    for run, told in zip(ours.runs, theirs["runs"], strict=True):
        assert told["status"] == "COMPLETED", told["log"]
        for path, expected in zip(told["outputs"], run.answers, strict=True):
            _check_equal(read_hdf5(Path(path)), expected)


def test_we_run_what_the_ancestor_built(
    ours: Ours, theirs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle that it made of our algorithms comes back whole, and runs as before."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    with cx.Engine("memory://", executor="inline") as engine:
        with open_v1(theirs["built"], KEY) as bundle:
            ship(bundle, engine.store)
        assert [(each.name, each.minors) for each in engine.algorithms.list()] == [
            (each.name, each.minors) for each in ours.engine.algorithms.list()
        ]
        for run in ours.runs:
            more = {"minor": run.minor, "checkpoint": run.checkpoint}
            again = _run(engine, tmp_path, run.algorithm, run.inputs, **more)
            for answer, expected in zip(again.answers, run.answers, strict=True):
                _check_equal(answer, expected)


def test_a_bundle_that_went_there_and_back_is_the_same(old: Ancestor, tmp_path: Path) -> None:
    """Of its own bundle, written by us, the ancestor's `inspect` says what it said; modules keep their ids there."""
    bundles = INTEROP / "bundles"
    key = BundleKey.parse((bundles / "v1.key").read_text("utf-8"))
    with open_v1(bundles / "v1.zip", key) as bundle:
        wanted = {content.sha256 for content in bundle.snapshot.contents()}
        data = {content: stream.read() for content, stream in bundle.contents(wanted)}
        create_v1(tmp_path / "again.zip", bundle.snapshot, lambda content: io.BytesIO(data[content]), key)
        modules = {each.key for each in bundle.manifest.objects if each.collection == "module-store"}
    words = ["--bundle-path", tmp_path / "again.zip", "--key", key.text()]
    done = old("inspect-algorithm-bundle", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told, said = json.loads(done.stdout), json.loads((bundles / "v1.inspect.json").read_text("utf-8"))
    for name in ("bundle_path", "metadata"):
        told.pop(name), said.pop(name)
    assert told == said
    with open_v1(tmp_path / "again.zip", key) as again:
        assert {each.key for each in again.manifest.objects if each.collection == "module-store"} == modules


def _check_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)

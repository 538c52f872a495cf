"""Names of compox 3.2 that are about training: in algorithms, and in scripts that train in memory."""

from __future__ import annotations

import contextvars
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.algorithms.loading import load_runner_class, loaded_in_place
from compox_core.data import write_hdf5
from compox_core.engine.legacy_checkpoints import AlgorithmCheckpoint, CheckpointManifest
from compox_core.engine.legacy_handler import InMemoryConnection
from compox_core.engine.legacy_samples import SampleManifest, TrainingSample
from compox_core.engine.legacy_training import DebuggingTrainingHandler
from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import utc_now
from compox_core.records import SampleRecord
from compox_core.training import dataset
from compox_core.training.temp_store import TempStore
from tests.engine.authors import write_algorithm

LEVEL_CUT = Path(__file__).parents[1] / "artefacts" / "interop" / "algorithms" / "level_cut"
TRAINING = (
    *("TrainingHandler", "TrainingDataset", "TrainingSample", "TempStore", "AlgorithmCheckpoint"),
    *("CheckpointManifest", "SampleManifest", "DebuggingTrainingHandler"),
)
EXCEPTIONS = ("CompoxTrainingError", "CompoxCheckpointError", "CompoxBundleError")


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))


@pytest.mark.parametrize("installed", [False, True])
def test_the_names_are_ours_also_beside_an_installed_original(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every name that algorithms import has something behind it, whatever is installed as `compox`."""
    if installed:
        original = tmp_path / "site" / "compox" / "__init__.py"
        original.parent.mkdir(parents=True)
        original.write_text("raise SystemExit('the real one was imported')", "utf-8")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
    lines = [f"from compox.training.{name} import {name}" for name in TRAINING]
    lines += [f"from compox.exceptions import {name}" for name in EXCEPTIONS]
    lines += [
        "from compox_core.runners import BaseRunner",
        "class Runner(BaseRunner):",
        f"    got = [{', '.join((*TRAINING, *EXCEPTIONS))}]",
    ]
    folder = write_algorithm(tmp_path / "a", "\n".join(lines))
    got: list[type] = load_runner_class(folder).got  # type: ignore[attr-defined]
    assert [each.__name__ for each in got[: len(TRAINING)]] == list(TRAINING)
    assert {each.__module__.partition(".")[0] for each in got} == {"compox_core"}


def files_of(connection: InMemoryConnection, **files: dict[str, Any]) -> None:
    for name, values in files.items():
        stream = io.BytesIO()
        write_hdf5(stream, values)
        connection.put_objects("data-store", [name], [stream.getvalue()])


def level_sample(connection: InMemoryConnection) -> str:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    files_of(connection, image={"image": np.where(mask, 3.0, 1.0)}, mask={"mask": mask})
    manifest = SampleManifest(files=[{"input": ["image"], "target": ["mask"]}], tags=[" A "])
    TrainingSample(connection, sample_manifest=manifest).save_sample_manifest()
    return manifest.sample_id


def trained(handler: DebuggingTrainingHandler, samples: list[str]) -> None:
    """Train `level_cut` in a script's way: a Runner that is constructed by hand finds the current handler."""

    def script(runner: Any) -> None:
        handler.set_as_current_handler()
        made = runner()
        made.load_assets()
        made.run_training(samples, {})

    with loaded_in_place(LEVEL_CUT) as runner:
        contextvars.copy_context().run(script, runner)


def test_a_script_trains_in_memory(tmp_path: Path) -> None:
    """The ancestor's algorithm learns from a connection; state, checkpoints and their contents are kept there."""
    connection = InMemoryConnection()
    sample = level_sample(connection)
    with TempStore(base_dir=tmp_path) as temp_store:
        handler = DebuggingTrainingHandler(connection, "t", temp_store, algorithm_directory=LEVEL_CUT)
        trained(handler, [sample])
        assert handler.get_state() == {"step": 1, "level": 2.0}
        (record,) = connection.get_objects("training-store", ["t"])
        saved = json.loads(record)["output_checkpoint_ids"]
        last = AlgorithmCheckpoint(connection, checkpoint_id=saved[-1])
        assert last.checkpoint_manifest.properties == {"step": 1, "level": 2.01}
        assert json.loads(last.asset("files/level.json") or b"") == {"level": 2.01}
        handler.delete_checkpoint(saved[0])
        with pytest.raises(NotFoundError):
            AlgorithmCheckpoint(connection, saved[0])
        assert len(connection.list_objects("asset-store")) == 1


def test_a_script_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    """Its assets stand in for those of the folder, as BytesIO; the others are the folder's; no path leads out."""
    connection = InMemoryConnection()
    first = DebuggingTrainingHandler(connection, "one", algorithm_directory=LEVEL_CUT)
    saved = first.save_checkpoint({"files/level.json": b'{"level": 7}'}, {"loss": np.float32(0.5)})
    connection.put_objects("training-store", ["two"], [json.dumps({"checkpoint_id": saved, "tags": ["x"]})])
    second = DebuggingTrainingHandler(connection, "two", algorithm_directory=LEVEL_CUT)
    assert second.checkpoint is not None and second.checkpoint.properties == {"loss": 0.5}
    asset = second.fetch_asset("files/level.json")
    assert isinstance(asset, io.BytesIO) and asset.read() == b'{"level": 7}'
    assert b"level_cut" in second.fetch_asset("pyproject.toml").read()
    with pytest.raises(NotFoundError):
        second.fetch_asset("../two_regions/Runner.py")
    with pytest.raises(InvalidInputError, match="no asset path"):
        second.save_checkpoint({"../out.bin": b""})
    later = AlgorithmCheckpoint(connection, second.save_checkpoint({"files/level.json": io.BytesIO(b"{}")}))
    assert (later.checkpoint_manifest.parent_checkpoint_id, later.checkpoint_manifest.tags) == (saved, ["x"])


def test_a_temp_store_of_its_own_goes_with_the_handler() -> None:
    """What nobody was given nobody can clean up."""
    handler = DebuggingTrainingHandler()
    root = handler.temp_store.root
    assert root.is_dir()
    del handler
    assert not root.exists()


def test_metrics_of_a_script_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With the steps that follow each other where none are given."""
    handler = DebuggingTrainingHandler(None, "t")
    handler.log_metrics({"loss": 0.5})
    handler.log_metrics({"loss": np.float32(0.25)})
    assert handler.metrics == [{"step": 0, "loss": 0.5}, {"step": 1, "loss": 0.25}]
    assert "t step 1 loss=0.25" in capsys.readouterr().out
    with pytest.raises(InvalidInputError, match="loss"):
        handler.log_metrics({"loss": "low"})


def test_a_sample_is_made_from_one_source() -> None:
    """An id or a manifest; its tags and its manifest are kept until it is deleted."""
    connection = InMemoryConnection()
    manifest = SampleManifest(
        files=[{"k": ["f"]}], tags=["A"], sample_id="s", time_created="2026-11-21 00:07:42.364469"
    )
    for given in ({}, {"sample_id": "s", "sample_manifest": manifest}):
        with pytest.raises(InvalidInputError, match="one of them"):
            TrainingSample(connection, **given)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no sample 's'"):
        TrainingSample(connection, sample_id="s")
    sample = TrainingSample(connection, sample_manifest=manifest)
    sample.add_tags(["B ", "a"])
    sample.save_sample_manifest()
    assert TrainingSample(connection, sample_id="s").tags == ["a", "b"]
    sample.delete_sample_manifest()
    assert connection.list_objects("sample-store") == []


def test_groups_of_a_manifest_have_one_key_set() -> None:
    """As those of every sample."""
    with pytest.raises(InvalidInputError, match="same keys"):
        SampleManifest(files=[{"a": ["1"]}, {"b": ["2"]}])


def test_samples_of_a_training_are_training_samples() -> None:
    """An algorithm that asks for the class by its old name gets a yes."""
    record = SampleRecord(sample_id="s", files=[{"k": ["f"]}], time_created=utc_now())
    assert isinstance(dataset.TrainingSample(record), TrainingSample)
    assert not isinstance(record, TrainingSample)


def test_a_checkpoint_is_made_from_one_source() -> None:
    """An id or a manifest; its tags are texts, a single one too."""
    manifest = CheckpointManifest(parent_algorithm_id="a", training_id="t", tags="x")  # type: ignore[arg-type]
    assert manifest.tags == ["x"]
    for given in ({}, {"checkpoint_id": "c", "checkpoint_manifest": manifest}):
        with pytest.raises(InvalidInputError, match="one of them"):
            AlgorithmCheckpoint(InMemoryConnection(), **given)  # type: ignore[arg-type]

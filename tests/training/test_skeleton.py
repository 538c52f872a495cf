"""Algorithms in the style of compox 3.2 train as printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from compox_core.data import read_hdf5
from compox_core.records import CheckpointRecord, ExecutionRecord, SampleRecord, TaskStatus, TrainingRecord
from tests.engine.authors import write_algorithm

INTEROP = Path(__file__).parents[1] / "artefacts" / "interop"
TIMEOUT = 60

SKELETON = '''
    import json

    import numpy as np
    from compox.algorithm_utils.BaseRunner import BaseRunner
    from compox.algorithm_utils.io_schemas import DataSchema
    from compox.training.TrainingDataset import TrainingDataset


    class ImageFile(DataSchema):
        image: np.ndarray


    class TargetFile(DataSchema):
        mask: np.ndarray


    class Runner(BaseRunner):
        """Learns and nothing else."""

        def load_assets(self):
            self.weights = json.loads(self.fetch_asset("files/weights.json").read())

        def train(self, training_data, args):
            dataset = self.get_training_dataset(training_sample_ids=training_data)
            assert isinstance(dataset, TrainingDataset)
            local = self.download_dataset_to_temp_store(
                dataset=dataset, pydantic_data_schemas={"input": ImageFile, "target": TargetFile}
            )
            pairs = []
            for sample in self.load_dataset_from_temp_store(local_samples=local):
                for file_dict in sample:
                    image = file_dict["input"]["image"]
                    mask = file_dict["target"]["mask"]
                    pairs.append((image, mask))
            paths = self.download_files_to_temp_store(
                folder_path="again", file_ids=dataset[0, "input"], pydantic_data_schema=ImageFile
            )
            (again,) = self.load_files_from_temp_store(paths=paths)
            assert np.array_equal(again["image"], pairs[0][0])
            (kept,) = self.save_training_files_to_temp_store(
                folder_path="made", files=[{"image": again["image"]}], pydantic_data_schema=ImageFile
            )
            assert kept.is_file()
            for epoch in range(args["epochs"]):
                weight = np.mean([image[mask > 0].mean() for image, mask in pairs]) + epoch
                self.set_state({"epoch": epoch, "weight": float(weight)})
                self.set_progress((epoch + 1) / args["epochs"])
                self.log_message(f"epoch {epoch}")
            content = json.dumps({"weight": float(weight)}).encode()
            self.save_checkpoint({"files/weights.json": content}, properties={"weight": np.float32(weight)})
'''

EPOCHS = """
[[tool.compox.training_parameters]]
name = "epochs"
description = "How often it looks at everything."
config = { type = "int", default = 2 }
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))


def test_the_guides_skeleton_trains(tmp_path: Path) -> None:
    """A Runner with `load_assets` and `train` alone deploys with a warning, and its checkpoint is there."""
    files = {"files/weights.json": '{"weight": 0}'}
    folder = write_algorithm(tmp_path / "a", SKELETON, name="learner", kind="Generic", extra=EPOCHS, files=files)
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    with cx.Engine("memory://") as engine:
        deployed = engine.deploy(folder)
        assert any("inference" in warning for warning in deployed.warnings)
        sample = engine.samples.create({"input": {"image": image}, "target": {"mask": image > 7}})
        handle = engine.train("learner", sample)
        (checkpoint,) = handle.result(TIMEOUT)
        assert checkpoint.properties == {"weight": 12.5}
        assert list(checkpoint.assets) == ["files/weights.json"]
        record = handle.record
        assert record.state == {"epoch": 1, "weight": 12.5}
        assert record.additional_parameters == {"epochs": 2}
        assert "epoch 0" in handle.log and record.progress == 1.0


def test_a_file_of_several_is_not_read_by_key(tmp_path: Path) -> None:
    """Where a sample names two files under a key, the skeleton fails and its error says to take one by number."""
    files = {"files/weights.json": '{"weight": 0}'}
    folder = write_algorithm(tmp_path / "a", SKELETON, name="learner", kind="Generic", extra=EPOCHS, files=files)
    image = np.ones((4, 4), np.float32)
    with cx.Engine("memory://") as engine:
        engine.deploy(folder)
        two = {"input": [{"image": image}] * 2, "target": [{"mask": image > 0}] * 2}
        record = engine.train("learner", engine.samples.create(two)).wait(TIMEOUT)
        assert record.status is TaskStatus.FAILED and record.error is not None
        assert record.error.type == "TypeError" and "[0]['image']" in record.error.message


@dataclass(frozen=True)
class Retrained:
    """The ancestor's algorithm, trained on its inputs and again from what came of it, and what it cuts then."""

    sample: SampleRecord
    first: TrainingRecord
    second: TrainingRecord
    checkpoints: list[CheckpointRecord]
    execution: ExecutionRecord
    masks: list[np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    """Trained as its records in `artefacts/interop` were made."""
    inputs = [INTEROP / "data" / f"input_image_{number}.h5" for number in range(3)]
    targets = [{"mask": read_hdf5(path)["image"] > 0.5} for path in inputs]
    with pytest.MonkeyPatch.context() as patch, cx.Engine("memory://") as engine:
        patch.setenv("COMPOX_MODULE_CACHE", str(tmp_path_factory.mktemp("modules")))
        engine.deploy(INTEROP / "algorithms" / "level_cut")
        sample = engine.samples.create({"input": inputs, "target": targets}, ["Modality:CT", "author:a"])
        first = engine.train("level_cut", sample, tags=["experiment:1"])
        last = first.result(TIMEOUT)[-1]
        second = engine.train("level_cut", sample, tags=["experiment:2"], checkpoint=last)
        best = second.result(TIMEOUT)[-1]
        run = engine.submit("level_cut", inputs, checkpoint=best)
        masks = [np.asarray(mask) for mask in run.result(TIMEOUT)]
        return Retrained(sample, first.record, second.record, engine.checkpoints.list(), run.record, masks)


def made_elsewhere(name: str) -> Any:
    return json.loads((INTEROP / "records" / name).read_text("utf-8"))


def numbered(value: Any, ids: list[str]) -> Any:
    """Return a record with each id replaced by its place among the ids that came before, for ids differ."""
    if isinstance(value, str) and len(value) == 36 and value.count("-") == 4:
        if value not in ids:
            ids.append(value)
        return ids.index(value)
    if isinstance(value, dict):
        return {key: numbered(item, ids) for key, item in value.items()}
    return [numbered(item, ids) for item in value] if isinstance(value, list) else value


def test_the_ancestors_training_ends_as_it_did(retrained: Retrained) -> None:
    """Its record says the same: what it learned from, where it went on from, its state, its checkpoints."""
    fields = ("algorithm_id", "checkpoint_id", "training_data", "output_checkpoint_ids", "state", "tags", "status")
    fields += ("progress", "algorithm_minor_version")
    old, new = made_elsewhere("training.json"), retrained.second.model_dump(mode="json")
    assert numbered({key: new[key] for key in fields}, []) == numbered({key: old[key] for key in fields}, [])
    assert len(retrained.first.output_checkpoint_ids) == 2 and retrained.first.checkpoint_id is None


def test_the_ancestors_checkpoints_are_as_they_were(retrained: Retrained) -> None:
    """Four of them, with plain numbers for what numpy made, the tags as given, and the lineage."""
    shown = ("checkpoint_id", "training_id", "parent_checkpoint_id", "parent_algorithm_id", "properties", "tags")
    new = [checkpoint.model_dump(mode="json") for checkpoint in retrained.checkpoints]
    ours, theirs = (
        numbered([{key: each[key] for key in shown} for each in found], [])
        for found in (new, made_elsewhere("checkpoint_all.json"))
    )
    assert ours == theirs


def test_the_ancestors_sample_is_as_it_was(retrained: Retrained) -> None:
    """Groups, keys, and tags in lower case."""
    (old,) = made_elsewhere("sample_all.json")
    new = retrained.sample.model_dump(mode="json")
    assert numbered(new["files"], []) == numbered(old["files"], [])
    assert new["tags"] == old["tags"]


def test_a_run_with_the_checkpoint_cuts_as_it_did(retrained: Retrained) -> None:
    """The masks are those that the ancestor made with its own checkpoint."""
    for number, mask in enumerate(retrained.masks):
        expected = read_hdf5(INTEROP / "data" / f"level_cut_checkpoint_{number}.h5")["mask"]
        np.testing.assert_array_equal(mask, expected)
    assert retrained.execution.checkpoint_id == retrained.second.output_checkpoint_ids[-1]

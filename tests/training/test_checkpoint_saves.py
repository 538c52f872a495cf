"""What a running training may save, and what it may be called with elsewhere."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.algorithms import checkpoint_contents
from compox_core.errors import InvalidInputError, NotFoundError, StateError
from compox_core.records import CheckpointRecord
from compox_core.storage.collections import ASSETS
from tests.training.school import School, completed, failed_with, save


def refused(code: str, act: Callable[[], object], match: str | None = None) -> InvalidInputError:
    with pytest.raises(InvalidInputError, match=match) as caught:
        act()
    assert caught.value.code == code
    return caught.value


def saved(school: School, *args: Any) -> CheckpointRecord:
    """Train with one `save_checkpoint` of these arguments and return what came of it."""
    record = completed(school.train(lambda self, data: self.save_checkpoint(*args)))
    [checkpoint_id] = record.output_checkpoint_ids
    return school.engine.checkpoints.get(checkpoint_id)


def content(school: School, checkpoint: CheckpointRecord, path: str = "weights.bin") -> bytes:
    return school.engine.store.get(ASSETS, checkpoint.assets[path].key)


@pytest.mark.parametrize(
    "how", ["bytes", "bytearray", "view", "stream", "stream at its end", "file", "open file", "array"]
)
def test_assets_come_as_bytes_files_or_streams(school: School, tmp_path: Path, how: str) -> None:
    """A stream is read from its beginning, wherever it stands; what was open stays open."""
    data = os.urandom(3 << 20)
    path = tmp_path / "weights"
    path.write_bytes(data)
    stream = io.BytesIO(data)
    if how == "stream at its end":
        stream.read()
    given: dict[str, Any] = {
        "bytes": data,
        "bytearray": bytearray(data),
        "view": memoryview(data),
        "array": np.frombuffer(data, np.uint8).data,
        "stream": stream,
        "stream at its end": stream,
        "file": path,
    }
    with path.open("rb") as file:
        file.seek(17)
        checkpoint = saved(school, {"weights.bin": given.get(how, file), "more/table.bin": b""})
        assert not file.closed
    assert not stream.closed
    assert (content(school, checkpoint), content(school, checkpoint, "more/table.bin")) == (data, b"")
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("assets", "code", "match"),
    [
        ({}, "checkpoint_empty", "without an asset"),
        (b"5", "checkpoint_asset_invalid", "give a dict"),
        ({"weights.pt": b"5"}, "checkpoint_asset_path_invalid", "more/table.bin.* weights.bin"),
        ({"./weights.bin": b"5"}, "checkpoint_asset_path_invalid", "no asset"),
        ({"../weights.bin": b"5"}, "checkpoint_asset_path_invalid", "no asset"),
        ({"Runner.py": b"5"}, "checkpoint_asset_path_invalid", "no asset"),
        ({7: b"5"}, "checkpoint_asset_path_invalid", "no asset"),
        ({"weights.bin": "5"}, "checkpoint_asset_invalid", "pathlib.Path"),
        ({"weights.bin": None}, "checkpoint_asset_invalid", "NoneType"),
        ({"weights.bin": Path("/nowhere")}, "checkpoint_asset_invalid", "nowhere"),
        ({"weights.bin": Path("/")}, "checkpoint_asset_invalid", "is no file"),
        ({"weights.bin": io.StringIO("text")}, "checkpoint_asset_invalid", "binary mode"),
    ],
)
def test_a_checkpoint_that_could_not_run_is_refused(school: School, assets: Any, code: str, match: str) -> None:
    """The error says what there is; nothing of it is stored, also of the assets that were well."""
    before = stored(school)

    def lesson(self: Any, data: list[str]) -> None:
        given = {"more/table.bin": os.urandom(100), **assets} if isinstance(assets, dict) and assets else assets
        refused(code, lambda: self.save_checkpoint(given), match)

    failed_with(school.train(lesson), "training_checkpoint_missing")
    assert stored(school) == before


def stored(school: School) -> list[str]:
    """The keys of everything that checkpoints are made of."""
    store = school.engine.store
    return [info.key for name in (ASSETS, "algorithm-checkpoint-store") for info in store.list(name)]


def test_a_closed_stream_is_refused(school: School) -> None:
    """With its reason."""
    stream = io.BytesIO(b"5")
    stream.close()
    school.train(
        lambda self, data: refused(
            "checkpoint_asset_invalid", lambda: self.save_checkpoint({"weights.bin": stream}), "closed"
        )
    )


def test_a_change_while_it_is_read_is_refused(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that grows between the hash and the copy is no checkpoint of either content."""
    path = tmp_path / "weights"
    path.write_bytes(b"5" * 100)
    hashed = checkpoint_contents._hash

    def late(name: str, given: Path, passed: Callable[[int], None]) -> checkpoint_contents.Content:
        found = hashed(name, given, passed)
        path.write_bytes(b"6" * 200)
        return found

    monkeypatch.setattr(checkpoint_contents, "_hash", late)
    before = stored(school)
    school.train(
        lambda self, data: refused(
            "checkpoint_asset_invalid", lambda: self.save_checkpoint({"weights.bin": path}), "changed"
        )
    )
    assert stored(school) == before


def test_properties_are_plain_json(school: School) -> None:
    """What numpy made, too; tags are those of the training, as they were given."""
    given = {"loss": np.float32(0.5), "best": np.bool_(True), "sizes": np.arange(3), "name": "a", "more": {"x": (1,)}}
    checkpoint = saved(school, {"weights.bin": b"7"}, given)
    assert checkpoint.properties == {"loss": 0.5, "best": True, "sizes": [0, 1, 2], "name": "a", "more": {"x": [1]}}
    assert json.loads(checkpoint.model_dump_json())["properties"] == checkpoint.properties
    assert checkpoint.tags == ["Kind A"]
    assert saved(school, {"weights.bin": b"7"}, None).properties == {}


@pytest.mark.parametrize(
    "properties", [[1], "text", {"a": object()}, {"a": math.nan}, {1: 2}, {"a": 10**5000}, {"a": "x" * (1 << 20)}]
)
def test_properties_that_are_no_json_are_refused(school: School, properties: Any) -> None:
    """Before anything is stored."""
    before = stored(school)
    school.train(
        lambda self, data: refused(
            "checkpoint_manifest_invalid", lambda: self.save_checkpoint({"weights.bin": b"x"}, properties), "propert"
        )
    )
    assert stored(school) == before


def test_checkpoints_are_named_in_the_record_as_they_come(school: School) -> None:
    """The handler deletes those that it has saved, and no others."""
    other = completed(school.train(save)).output_checkpoint_ids[0]

    def lesson(self: Any, data: list[str]) -> None:
        ids = [save(self) for _ in range(3)]
        assert school.engine.trainings.get(self.task_handler.task_id).output_checkpoint_ids == ids
        self.task_handler.delete_checkpoint(ids[1])
        assert school.engine.trainings.get(self.task_handler.task_id).output_checkpoint_ids == [ids[0], ids[2]]
        for each in (ids[1], other, "nothing"):
            with pytest.raises(NotFoundError) as caught:
                self.task_handler.delete_checkpoint(each)
            assert caught.value.code == "checkpoint_not_found"

    record = completed(school.train(lesson))
    assert len(record.output_checkpoint_ids) == 2
    assert school.engine.checkpoints.get(other).checkpoint_id == other


def test_threads_of_an_algorithm_may_save_at_a_time(school: School) -> None:
    """Every checkpoint is named."""
    from concurrent.futures import ThreadPoolExecutor

    def lesson(self: Any, data: list[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda number: save(self), range(16)))
        live = school.engine.trainings.get(self.task_handler.task_id).output_checkpoint_ids
        assert sorted(live) == sorted(ids)

    assert len(completed(school.train(lesson)).output_checkpoint_ids) == 16


def test_an_attribute_called_checkpoint_is_the_authors(school: School) -> None:
    """Until it is set it is the record of the checkpoint in use, None without one."""
    first = completed(school.train(save)).output_checkpoint_ids[0]

    def lesson(self: Any, data: list[str]) -> None:
        assert self.checkpoint.checkpoint_id == first
        assert self.checkpoint.properties == {"epoch": 1}
        assert self.fetch_asset("weights.bin").read() == b"5" == self.weights
        self.checkpoint = {"mine": 1}
        assert self.checkpoint == {"mine": 1}
        save(self)

    second = completed(school.train(lesson, checkpoint=first)).output_checkpoint_ids[0]
    assert school.engine.checkpoints.get(second).parent_checkpoint_id == first

    def without(self: Any, data: list[str]) -> None:
        assert self.checkpoint is None
        save(self)

    completed(school.train(without))


def test_the_calls_of_a_training_work_in_train_alone(school: School, tmp_path: Path) -> None:
    """Elsewhere they say where they are to be used."""
    from tests.engine.authors import image_runner, write_algorithm

    calls = [
        "self.save_checkpoint({'weights.bin': b'5'})",
        "self.set_state({})",
        "self.get_state()",
        "self.log_metrics({'a': 1})",
        "self.get_training_dataset([])",
        "self.load_dataset_from_temp_store([])",
        "self.load_files_from_temp_store([])",
        "self.download_dataset_to_temp_store(None, {})",
        "self.run_training([])",
    ]
    body = "return eval(args['call'], {'self': self})"
    school.engine.deploy(write_algorithm(tmp_path / "a", image_runner(body), name="elsewhere"))
    for call in calls:
        record = school.engine.submit("elsewhere", np.zeros((2, 2), np.float32), parameters={"call": call}).wait(60)
        assert record.error is not None
        assert record.error.code == "training_handler_required", call
        assert call.split(".")[1].split("(")[0].removeprefix("run_") in record.error.message or "save_checkpoint" in (
            record.error.message
        )


def test_a_training_has_no_session(school: School) -> None:
    """And says what to do instead."""

    def lesson(self: Any, data: list[str]) -> None:
        with pytest.raises(StateError, match="keep what it needs on self"):
            self.save_item_to_session(1, "a")
        save(self)

    completed(school.train(lesson))

"""A training that could not run is refused at its submit, with what is wrong, and leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.errors import CompoxError, InvalidInputError, NotFoundError, ParameterError, StorageError
from compox_core.identity import new_id
from compox_core.records import TrainingRequest
from compox_core.storage import EXECUTIONS, FILES, SAMPLES, SYSTEM, TRAININGS
from compox_core.tasks.presence import PROCESSES
from tests.training.school import School, completed, failed_with, opened, save, write_trainable

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"
HOSTILE = ["", ".", "..", "../../etc/passwd", "record/x", "*", "\0", "\ud800", "x" * 5000, f"{{{UNKNOWN}}}", UNKNOWN]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[School]:
    """An engine with two minor versions, the second without `more/table.bin`, and another algorithm."""
    with opened(tmp_path, "inline") as school:
        school.engine.deploy(write_trainable(tmp_path / "other", name="other"))
        second = write_trainable(tmp_path / "second")
        (second / "more" / "table.bin").unlink()
        school.engine.deploy(second)
        yield school


def left(school: School) -> list[tuple[str, str]]:
    """Every object that a submit could leave."""
    store = school.engine.store
    names = (TRAININGS, EXECUTIONS, SAMPLES, FILES, SYSTEM)
    found = [(name, info.key) for name in names for info in store.list(name)]
    return [each for each in found if not each[1].startswith(PROCESSES)]


def refused(school: School, kind: type[CompoxError], code: str, **fields: Any) -> CompoxError:
    """Assert that a request is refused, and the store is as it was; return the error."""
    given: dict[str, Any] = {"algorithm_id": school.algorithm_id, "training_data": [school.sample.sample_id]}
    before = left(school)
    with pytest.raises(kind) as caught:
        school.engine.trainings.submit(TrainingRequest(**{**given, **fields}))
    assert caught.value.code == code
    assert left(school) == before
    return caught.value


@pytest.mark.parametrize("sample_id", HOSTILE)
def test_unknown_samples_are_all_named(school: School, sample_id: str) -> None:
    """Whatever stands for the id; those that are there are not named."""
    wanted = [sample_id, school.sample.sample_id, new_id()]
    error = refused(school, NotFoundError, "input_samples_not_found", training_data=wanted)
    missing = error.details["missing_sample_ids"]
    assert (len(missing), missing[1], school.sample.sample_id in missing) == (2, wanted[2], False)


@pytest.mark.parametrize("given", HOSTILE)
def test_an_unknown_algorithm_minor_or_checkpoint_is_named(school: School, given: str) -> None:
    """Whatever stands for it."""
    refused(school, NotFoundError, "algorithm_not_found", algorithm_id=given)
    if given:
        refused(school, NotFoundError, "minor_version_not_found", algorithm_minor_version=given)
        refused(school, NotFoundError, "checkpoint_not_found", checkpoint_id=given)


def test_a_sample_or_a_file_is_no_sample_of_another_kind(school: School) -> None:
    """The id of a file, of the algorithm or of a training names no sample."""
    trained = completed(school.train(save))
    file_id = school.sample.files[0]["input"][0]
    for each in (file_id, school.algorithm_id, trained.training_id, trained.output_checkpoint_ids[0]):
        refused(school, NotFoundError, "input_samples_not_found", training_data=[each])
    refused(school, NotFoundError, "checkpoint_not_found", checkpoint_id=file_id)


def test_a_checkpoint_fits_its_algorithm_and_the_minor_that_is_trained(old: School) -> None:
    """One of another algorithm is refused, and one with paths that the chosen minor version has not."""
    [first] = completed(old.train("self.save_checkpoint({'weights.bin': b'5'})")).output_checkpoint_ids
    engine = old.engine
    request = {"code": "self.save_checkpoint({'more/table.bin': b'5'})"}
    handle = engine.train("sample", old.sample, minor=0, parameters=request)
    wide = handle.result(60)[0].checkpoint_id
    other = engine.algorithms.get("other").algorithm_id
    error = refused(old, InvalidInputError, "invalid_checkpoint", algorithm_id=other, checkpoint_id=first)
    assert error.details["parent_algorithm_id"] == old.algorithm_id
    error = refused(old, InvalidInputError, "checkpoint_asset_incompatible", checkpoint_id=wide)
    assert error.details["paths"] == ["more/table.bin"]
    assert "(0)" in str(error)
    refused(old, InvalidInputError, "checkpoint_asset_incompatible", checkpoint_id=wide, algorithm_minor_version="1")
    handle = engine.train("sample", old.sample, minor=0, checkpoint=wide, parameters=request)
    assert handle.result(60)[0].parent_checkpoint_id == wide


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"epochs": 0}, "from 1 to 10"),
        ({"epochs": 11}, "from 1 to 10"),
        ({"epochs": "many"}, "integer"),
        ({"free": object()}, ""),
        ({"free": {"a": float("nan")}}, ""),
    ],
)
def test_parameters_obey_what_is_declared_for_training(school: School, parameters: dict[str, Any], rule: str) -> None:
    """And JSON must be able to hold the others."""
    error = refused(school, ParameterError, "invalid_parameter", additional_parameters=parameters)
    assert error.details["parameter"] == next(iter(parameters))
    assert rule in str(error.details)


@pytest.mark.parametrize(
    "fields",
    [
        {"training_data": "one"},
        {"training_data": [7]},
        {"training_data": None},
        {"timeout_s": -1},
        {"timeout_s": "soon"},
        {"tags": [7]},
        {"additional_parameters": [1]},
    ],
)
def test_a_request_of_another_shape_is_no_request(school: School, fields: dict[str, Any]) -> None:
    """Where a request is made of it already."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        TrainingRequest(**{"algorithm_id": "a", "training_data": [], **fields})
    if "additional_parameters" not in fields and "training_data" not in fields:
        with pytest.raises(InvalidInputError) as caught:
            school.engine.train("sample", school.sample, **fields)
        assert caught.value.code == "invalid_request"


def test_a_text_that_cannot_be_stored_is_refused(school: School) -> None:
    """A lone surrogate among the tags, say."""
    refused(school, InvalidInputError, "invalid_request", tags=["\ud800"])


def test_a_sample_whose_file_is_gone_is_named_with_it(old: School) -> None:
    """Other samples of the same request are well; without it the training runs."""
    engine = old.engine
    lost = old.make_sample(5.0)
    name = lost.files[0]["input"][0]
    engine.store.delete(FILES, name)
    error = refused(old, NotFoundError, "sample_files_not_found", training_data=[old.sample.sample_id, lost.sample_id])
    assert error.details == {"missing_file_ids": [name]}
    completed(old.train(save))


def test_a_sample_that_cannot_be_read_is_named(old: School) -> None:
    """The training is refused; deleted, the sample is only unknown."""
    broken = old.make_sample(5.0)
    old.engine.store.put(SAMPLES, f"record/{broken.sample_id}", b"{")
    error = refused(old, StorageError, "invalid_sample_manifest", training_data=[broken.sample_id])
    assert broken.sample_id in str(error)
    old.engine.samples.delete(broken.sample_id)
    refused(old, NotFoundError, "input_samples_not_found", training_data=[broken.sample_id])


def test_a_training_without_samples_is_the_algorithms_affair(school: School) -> None:
    """It may need none."""

    def lesson(self: Any, data: list[str]) -> None:
        assert data == []
        save(self)

    record = school.engine.trainings.submit(
        TrainingRequest(
            algorithm_id=school.algorithm_id,
            training_data=[],
            additional_parameters={"code": "assert data == []\nself.save_checkpoint({'weights.bin': b'5'})"},
        )
    )
    completed(school.engine.trainings.wait(record.training_id, 60))


@pytest.mark.parametrize("where", ["snapshot", "record", "queue", "check"])
def test_a_submit_that_the_store_refuses_leaves_nothing(
    old: School, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Whichever of its writes it is; afterwards the same request goes through."""
    store = old.engine.store

    def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
        def write(collection: str, key: str, *rest: Any, **options: Any) -> Any:
            prefix = {"snapshot": "dataset/", "record": "record/", "queue": "queue/"}.get(where)
            if collection == TRAININGS and prefix and key.startswith(prefix):
                raise StorageError("no", code="storage_unavailable", retryable=True)
            return method(collection, key, *rest, **options)

        return write

    with monkeypatch.context() as patch:
        if where == "check":
            patch.setattr(old.engine._open_parts.desk.bench.samples, "endangered_files", lambda records: ["gone"])
            refused(old, NotFoundError, "sample_files_not_found")
        else:
            patch.setattr(store, "put", refusing(store.put))
            patch.setattr(store, "create", refusing(store.create))
            refused(old, StorageError, "storage_unavailable")
    completed(old.train(save))


def test_equal_samples_may_be_given_twice(school: School) -> None:
    """The dataset has them as often as they are named."""
    image = np.frombuffer(os.urandom(16), np.uint8).reshape(4, 4).astype(np.float32)
    sample = school.engine.samples.create({"input": {"image": image}})

    def lesson(self: Any, data: list[str]) -> None:
        assert len(self.get_training_dataset(data)) == 2
        save(self)

    completed(school.train(lesson, sample.sample_id, sample.sample_id))


def test_samples_of_other_keys_fail_in_train(school: School) -> None:
    """An algorithm may look at each by itself, so the submit does not refuse them."""
    other = school.engine.samples.create({"image": {"image": np.zeros((2, 2))}})
    ids = (school.sample.sample_id, other.sample_id)
    failed_with(school.train(lambda self, data: self.get_training_dataset(data), *ids), "invalid_training_dataset")

    def each(self: Any, data: list[str]) -> None:
        assert [len(self.get_training_dataset([one])) for one in data] == [1, 1]
        save(self)

    completed(school.train(each, *ids))

"""What the indices of samples and datasets mean."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.identity import utc_now
from compox_core.records import SampleRecord
from compox_core.training.dataset import TrainingDataset, TrainingSample

KEYS = ["input", "target", "mask"]


def sample(*groups: dict[str, list[str]], name: str = "s", tags: tuple[str, ...] = ()) -> TrainingSample:
    return TrainingSample(SampleRecord(sample_id=name, files=list(groups), tags=list(tags), time_created=utc_now()))


TWO = sample({"input": ["a", "b"], "target": ["c"]}, {"input": ["d"], "target": []}, name="two", tags=("cell", "dim"))
ONE = sample({"target": ["f"], "input": ["e"]}, name="one")


def test_a_sample_is_indexed_by_groups_and_keys() -> None:
    """Numbers, slices, and with a key after them, as compox 3.2 documents it."""
    first, second = {"input": ["a", "b"], "target": ["c"]}, {"input": ["d"], "target": []}
    assert (TWO[0], TWO[1], TWO[-1]) == (first, second, second)
    assert (TWO[0:1], TWO[:], TWO[5:]) == ([first], [first, second], [])
    assert (TWO[0, "input"], TWO[1, "target"]) == (["a", "b"], [])
    assert (TWO[:, "input"], TWO[0:1, "target"], TWO[:, "nothing"]) == (["a", "b", "d"], ["c"], [])
    assert (TWO[:, :], TWO[0, :], TWO[1:, :]) == (["a", "b", "c", "d"], ["a", "b", "c"], ["d"])
    assert (len(TWO), list(TWO), TWO.get_file_list(), TWO.get_key_list()) == (
        2,
        [first, second],
        [first, second],
        ["input", "target"],
    )
    assert (TWO.sample_id, TWO.tags, TWO.sample_manifest) == ("two", ["cell", "dim"], TWO.record)


def test_a_dataset_is_indexed_by_samples_and_keys() -> None:
    """One sample gives one list, several give a list each."""
    dataset = TrainingDataset([TWO, ONE])
    assert (dataset[0], dataset[1:], dataset[:]) == (TWO, [ONE], [TWO, ONE])
    assert (dataset[0, "input"], dataset[1, "target"], dataset[-1, :]) == (["a", "b", "d"], ["f"], ["f", "e"])
    assert dataset[:, "input"] == [["a", "b", "d"], ["e"]]
    assert dataset[:, :] == [["a", "b", "c", "d"], ["f", "e"]]
    assert (len(dataset), list(dataset), dataset.get_all_samples()) == (2, [TWO, ONE], [TWO, ONE])
    assert dataset.get_sample_keys() == ["input", "target"]
    assert dataset.get_all_file_lists() == [TWO[:], ONE[:]]
    assert dataset.get_sample_by_id("one") is ONE
    with pytest.raises(NotFoundError) as caught:
        dataset.get_sample_by_id("three")
    assert caught.value.code == "sample_not_found"


@pytest.mark.parametrize(
    "index", ["input", None, 1.0, (0,), (0, 1), (0, "input", 1), ("input", 0), (0, None), ([0], "input")]
)
def test_any_other_index_is_a_type_error(index: Any) -> None:
    """With a message that shows the indices there are."""
    for indexed in (TWO, TrainingDataset([TWO])):
        with pytest.raises(TypeError, match=r"\[0:2\]"):
            indexed[index]


@pytest.mark.parametrize("index", [2, -3, (2, "input"), (7, slice(None))])
def test_an_index_past_the_end_is_an_index_error(index: Any) -> None:
    """As it is of a list."""
    for indexed in (TWO, TrainingDataset([TWO, ONE])):
        with pytest.raises(IndexError):
            indexed[index]


def test_numbers_of_numpy_are_numbers() -> None:
    """As a permutation of the samples gives them."""
    dataset = TrainingDataset([TWO, ONE])
    assert [dataset[number] for number in np.array([1, 0])] == [ONE, TWO]
    assert (dataset[np.int64(1), "input"], TWO[np.int8(1), :], TWO[np.uint8(1)]) == (["e"], ["d"], TWO[1])


def test_a_key_that_one_group_lacks_is_a_key_error() -> None:
    """Which names the keys that are there; of several groups it is no file."""
    with pytest.raises(KeyError, match="input, target"):
        TWO[0, "mask"]
    assert TWO[0:1, "mask"] == []


def test_what_an_index_gave_can_be_changed_without_harm() -> None:
    """Lists and groups are copies: the sample stays as it was stored."""
    TWO[0]["input"].append("x")
    TWO[0, "input"].clear()
    TWO[:, :].clear()
    TWO[:].clear()
    TWO.tags.clear()
    dataset = TrainingDataset([TWO])
    dataset.get_all_samples().clear()
    dataset[:].clear()
    assert (TWO[0, "input"], TWO.tags, len(dataset)) == (["a", "b"], ["cell", "dim"], 1)


def test_tags_are_compared_as_they_are_stored() -> None:
    """Case and spaces around them do not count; both lists may be left out."""
    assert TWO.check_tags(["CELL "], ["other"])
    assert TWO.check_tags() and TWO.check_tags([" "])
    assert not TWO.check_tags(["cell", "other"])
    assert not TWO.check_tags([], ["Dim"])


def test_all_samples_of_a_dataset_have_the_same_keys() -> None:
    """However they come into it; the order of the keys does not count, and the error is a ValueError too."""
    other = sample({"input": ["g"]}, name="other")
    dataset = TrainingDataset([TWO])
    for mix in (
        lambda: TrainingDataset([TWO, ONE, other]),
        lambda: dataset.add_sample(other),
        lambda: dataset + other,
        lambda: dataset + TrainingDataset([other]),
    ):
        with pytest.raises(InvalidInputError, match="'other' has the keys") as caught:
            mix()
        assert isinstance(caught.value, ValueError)
        assert (caught.value.code, caught.value.details["sample_id"]) == ("invalid_training_dataset", "other")
    dataset.add_sample(ONE)
    assert len(dataset) == 2


def test_a_sum_of_datasets_is_a_new_one() -> None:
    """The parts stay as they were; the sum is of the class of the first, and of nothing else."""

    class Own(TrainingDataset):
        pass

    first, empty = Own([TWO]), TrainingDataset()
    both = first + TrainingDataset([ONE])
    assert (type(both), both[:], first[:]) == (Own, [TWO, ONE], [TWO])
    assert (first + ONE)[:] == [TWO, ONE]
    assert (empty + first)[:] == [TWO]
    assert (empty.get_sample_keys(), empty[:], empty[:, :], empty.get_all_file_lists()) == ([], [], [], [])
    with pytest.raises(TypeError):
        first + 1  # type: ignore[operator]


ids = st.lists(st.text(min_size=1, max_size=3), max_size=3)


@st.composite
def samples(draw: st.DrawFn) -> list[list[dict[str, list[str]]]]:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    groups = st.fixed_dictionaries(dict.fromkeys(keys, ids))
    return draw(st.lists(st.lists(groups, min_size=1, max_size=3), max_size=3))


slices = st.builds(slice, *[st.none() | st.integers(-4, 4)] * 2, st.none() | st.sampled_from([-2, -1, 1, 2]))
rows = st.integers(-4, 4) | slices
columns = st.sampled_from(KEYS) | st.just(slice(None))


def flat(groups: list[dict[str, list[str]]], key: str | slice) -> list[str]:
    """The naive model of `[:, key]`."""
    if isinstance(key, str):
        return list(chain.from_iterable(group.get(key, []) for group in groups))
    return list(chain.from_iterable(chain.from_iterable(group.values()) for group in groups))


def outcome(action: Any) -> Any:
    try:
        return action()
    except (IndexError, KeyError) as error:
        return type(error)


@given(samples(), rows, columns)
def test_every_index_means_what_lists_and_dicts_mean(
    stored: list[list[dict[str, list[str]]]], row: int | slice, key: str | slice
) -> None:
    """Compared with the same index into plain lists of dicts."""
    dataset = TrainingDataset(sample(*groups, name=str(number)) for number, groups in enumerate(stored))
    for groups, each in zip(stored, dataset, strict=True):
        assert outcome(lambda g=groups, e=each: e[row] == g[row]) in (True, IndexError)
        if isinstance(row, slice):
            assert each[row, key] == flat(groups[row], key)
        elif isinstance(key, str):
            assert outcome(lambda e=each: e[row, key]) == outcome(lambda g=groups: g[row][key])
        else:
            assert outcome(lambda e=each: e[row, key]) == outcome(lambda g=groups: flat([g[row]], key))
    if isinstance(row, slice):
        assert dataset[row] == list(dataset)[row]
        assert dataset[row, key] == [flat(groups, key) for groups in stored[row]]
    else:
        assert outcome(lambda: dataset[row, key]) == outcome(lambda: flat(stored[row], key))

"""Samples as a `train` method holds them: which files there are, by group and key."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

from compox_core.errors import InvalidInputError, NotFoundError
from compox_core.records import SampleRecord, normalised_tags

Group = dict[str, list[str]]

EVERYTHING = slice(None)


class TrainingSample:
    """One sample: groups of file ids, all groups with the same keys.

    `s[i]` is a group, `s[a:b]` a list of groups. `s[i, "key"]` are the ids under a key of one group, `s[a:b, "key"]`
    those of several groups in one list, where a key that is not there gives none; `s[i, :]` and `s[a:b, :]` are all
    ids, in the order of the groups and keys.
    """

    def __init__(self, record: SampleRecord) -> None:
        self.record = record

    @property
    def sample_id(self) -> str:
        """The id of the sample."""
        return self.record.sample_id

    @property
    def sample_manifest(self) -> SampleRecord:
        """The record of the sample, under the name that older algorithms know."""
        return self.record

    @property
    def tags(self) -> list[str]:
        """The tags of the sample, in lower case."""
        return list(self.record.tags)

    def get_file_list(self) -> list[Group]:
        """Return all groups."""
        return self[:]

    def get_key_list(self) -> list[str]:
        """Return the keys that every group has."""
        return self.record.keys

    def check_tags(self, positive_tags: Iterable[str] = (), negative_tags: Iterable[str] = ()) -> bool:
        """Return whether it has all of the first and none of the others, whatever their case."""
        own = set(self.record.tags)
        return own.issuperset(normalised_tags(positive_tags or ())) and own.isdisjoint(
            normalised_tags(negative_tags or ())
        )

    @overload
    def __getitem__(self, index: int) -> Group: ...
    @overload
    def __getitem__(self, index: slice) -> list[Group]: ...
    @overload
    def __getitem__(self, index: tuple[int | slice, str | slice]) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple) and len(index) == 2:
            rows, key = _row(index[0]), index[1]
            if isinstance(key, str) or (isinstance(key, slice) and key == EVERYTHING):
                return self._ids(rows, key)
        elif isinstance(row := _row(index), int):
            return _copied(self.record.files[row])
        elif isinstance(row, slice):
            return [_copied(group) for group in self.record.files[row]]
        raise _no_such_index("A sample", index)

    def _ids(self, rows: Any, key: str | slice) -> list[str]:
        if isinstance(rows, int):
            group = self.record.files[rows]
            if isinstance(key, str) and key not in group:
                raise KeyError(f"Sample '{self.sample_id}' has no key '{key}': it has {', '.join(group) or 'none'}.")
            groups = [group]
        elif isinstance(rows, slice):
            groups = self.record.files[rows]
        else:
            raise _no_such_index("A sample", (rows, key))
        if isinstance(key, str):
            return [name for group in groups for name in group.get(key, ())]
        return [name for group in groups for names in group.values() for name in names]

    def __len__(self) -> int:
        return len(self.record.files)

    def __iter__(self) -> Iterator[Group]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"TrainingSample({self.sample_id!r}, groups={len(self)}, keys={self.get_key_list()})"


class TrainingDataset:
    """Samples that all have the same keys.

    `d[i]` is a sample, `d[a:b]` a list of samples. `d[i, "key"]` and `d[i, :]` are ids of one sample in one list,
    `d[a:b, "key"]` and `d[a:b, :]` one such list for each sample. `+` joins it with another one, or with a sample.

    Raises:
        InvalidInputError: `invalid_training_dataset`, which is a ValueError, where the keys differ.
    """

    def __init__(self, samples: Iterable[TrainingSample] = ()) -> None:
        self._samples: list[TrainingSample] = []
        for sample in samples:
            self.add_sample(sample)

    def add_sample(self, sample: TrainingSample) -> None:
        """Add a sample. Raises InvalidInputError where it has other keys than those before."""
        if self._samples and set(sample.get_key_list()) != set(self.get_sample_keys()):
            raise InvalidInputError(
                f"Sample '{sample.sample_id}' has the keys {sorted(sample.get_key_list())}, and those before it have "
                f"{sorted(self.get_sample_keys())}: train with samples that have the same keys.",
                code="invalid_training_dataset",
                details={"sample_id": sample.sample_id, "keys": sample.get_key_list()},
            )
        self._samples.append(sample)

    def get_all_samples(self) -> list[TrainingSample]:
        """Return the samples."""
        return list(self._samples)

    def get_sample_by_id(self, sample_id: str) -> TrainingSample:
        """Return one sample. Raises NotFoundError (`sample_not_found`)."""
        for sample in self._samples:
            if sample.sample_id == sample_id:
                return sample
        raise NotFoundError(
            f"This dataset has no sample '{sample_id}'.", code="sample_not_found", details={"sample_id": sample_id}
        )

    def get_sample_keys(self) -> list[str]:
        """Return the keys that every sample has; none where there is no sample."""
        return self._samples[0].get_key_list() if self._samples else []

    def get_all_file_lists(self) -> list[list[Group]]:
        """Return the groups of every sample."""
        return [sample.get_file_list() for sample in self._samples]

    @overload
    def __getitem__(self, index: int) -> TrainingSample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingSample]: ...
    @overload
    def __getitem__(self, index: tuple[int, str | slice]) -> list[str]: ...
    @overload
    def __getitem__(self, index: tuple[slice, str | slice]) -> list[list[str]]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple) and len(index) == 2:
            rows, key = _row(index[0]), index[1]
            if isinstance(rows, int):
                return self._samples[rows][:, key]
            if isinstance(rows, slice):
                return [sample[:, key] for sample in self._samples[rows]]
        elif isinstance(row := _row(index), int | slice):
            return self._samples[row]
        raise _no_such_index("A dataset", index)

    def __add__(self, other: TrainingDataset | TrainingSample) -> Self:
        more = [other] if isinstance(other, TrainingSample) else getattr(other, "_samples", None)
        return NotImplemented if more is None else type(self)([*self._samples, *more])

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[TrainingSample]:
        return iter(self._samples)

    def __repr__(self) -> str:
        return f"TrainingDataset(samples={len(self)}, keys={self.get_sample_keys()})"


def _row(index: Any) -> Any:
    """Return a number as Python counts by it, those of numpy and PyTorch too; anything else as it is."""
    return operator.index(index) if hasattr(index, "__index__") else index


def _copied(group: Group) -> Group:
    return {key: list(names) for key, names in group.items()}


def _no_such_index(what: str, index: Any) -> TypeError:
    return TypeError(
        f"{what} is indexed by a number or a slice, and a key or ':' after that, as in [0], [0:2], [0, \"input\"] and "
        f"[:, :], not by {index!r}."
    )

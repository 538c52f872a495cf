"""The training samples of a store.

In `sample-store`: `record/<id>`, written once and never changed, and the pins of the sample's files, which
`compox_core.storage.file_pins` tells of. A sample comes as a user of files does: first the pins, then the look at the
files, then the record; it goes the other way round. So where a record is its files are held, and what somebody who died
has left is pins without a record, which expire after a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from pydantic import ValidationError

from compox_core.errors import NotFoundError, StorageError
from compox_core.identity import is_id, new_id, utc_now
from compox_core.records import SampleRecord, SampleRequest, normalised_tags
from compox_core.records.plain import encodable
from compox_core.storage import SAMPLES, FileStore, ObjectStore
from compox_core.storage.at_once import at_once
from compox_core.storage.file_pins import FilePins

logger = logging.getLogger(__name__)

RECORDS = "record/"

_PART = 16  # files

FileCheck = Callable[[Sequence[str]], list[str]]


class SampleStore:
    """The samples of a store. Every call reads it, so what other processes do is seen. Holds no state of its own."""

    def __init__(self, store: ObjectStore, files: FileStore) -> None:
        self._store = store
        self._files = files
        self._pins = FilePins(store)

    def create(self, request: SampleRequest) -> SampleRecord:
        """Store a sample; from then on nothing removes its files.

        Raises:
            NotFoundError: `sample_input_files_not_found`; `details` has `file_ids`, those that are missing.
            DataError: `invalid_hdf5_file` for a file that was put at a signed URL and is none.
            StorageError: nothing that counts as a sample is stored then.
        """
        record = SampleRecord(sample_id=new_id(), files=request.files, tags=request.tags, time_created=utc_now())
        _refuse(_in_parts(self._files.ready, record.file_ids))
        try:
            self._pins.pin(record.sample_id, record.file_ids)
            # Once more now that they are held: somebody who had not seen it may have taken them meanwhile.
            _refuse(_in_parts(self._files.endangered, record.file_ids))
            # Not exclusively: nobody else can have this id, and a lost answer is no conflict.
            self._store.put(SAMPLES, RECORDS + record.sample_id, record.model_dump_json().encode())
        except BaseException:  # whatever it is, it is raised again
            with suppress(StorageError):  # the pins stay for as long as there may be a record
                self._store.delete(SAMPLES, RECORDS + record.sample_id)
                self._pins.unpin(record.sample_id, record.file_ids)
            raise
        return record

    def get(self, sample_id: str) -> SampleRecord:
        """Return a sample, whether its files are there or not.

        Raises NotFoundError (`sample_not_found`), StorageError (`invalid_sample_record`) where it cannot be read.
        """
        if not is_id(sample_id):
            raise sample_not_found(sample_id)
        try:
            data = self._store.get(SAMPLES, RECORDS + sample_id)
        except NotFoundError as error:
            raise sample_not_found(sample_id) from error
        try:
            record = SampleRecord.model_validate_json(data)
            if record.sample_id != sample_id or not record.files:
                raise ValueError(f"it is that of {record.sample_id!r}, with {len(record.files)} groups of files")
        except ValueError as error:  # a ValidationError is one
            raise _invalid(sample_id, error) from error
        return record

    def get_many(self, sample_ids: Sequence[str]) -> list[SampleRecord]:
        """Return samples in the order of their ids, several read at a time.

        Raises NotFoundError (`input_samples_not_found`; `details` has `missing_sample_ids`, all of them), StorageError
        (`invalid_sample_record`).
        """
        wanted = list(dict.fromkeys(sample_ids))
        found = dict(zip(wanted, at_once(self._present, wanted), strict=True))
        missing = [sample_id for sample_id, record in found.items() if record is None]
        if missing:
            raise NotFoundError(
                "These samples do not exist (never created, or deleted):\n" + "\n".join(map(encodable, missing)),
                code="input_samples_not_found",
                details={"missing_sample_ids": [encodable(sample_id) for sample_id in missing]},
            )
        return [record for sample_id in sample_ids if (record := found[sample_id]) is not None]

    def missing_files(self, records: Iterable[SampleRecord]) -> list[str]:
        """Return the files of samples that are not in the store any more, each once, in the order of the samples."""
        return _in_parts(self._files.exists_all, _files_of(records))

    def endangered_files(self, records: Iterable[SampleRecord]) -> list[str]:
        """Return those that are not there or may be taken away at this moment; see `FileStore.endangered`."""
        return _in_parts(self._files.endangered, _files_of(records))

    def list(self, positive_tags: Iterable[str] = (), negative_tags: Iterable[str] = ()) -> list[SampleRecord]:
        """Return the samples that have all of `positive_tags` and none of `negative_tags`, oldest first.

        Case and spaces around a tag do not count. A sample that cannot be read is left out, and told in the log.
        """
        wanted, unwanted = set(normalised_tags(positive_tags)), set(normalised_tags(negative_tags))
        keys = [info.key for info in self._store.list(SAMPLES, RECORDS)]
        records = at_once(self._readable, [key.removeprefix(RECORDS) for key in keys])
        found = [record for record in records if record is not None and wanted.issubset(record.tags)]
        return [record for record in found if unwanted.isdisjoint(record.tags)]

    def is_empty(self) -> bool:
        """Return whether there is no sample at all."""
        return next(iter(self._store.list(SAMPLES, RECORDS)), None) is None

    def delete(self, sample_id: str) -> None:
        """Remove a sample and let go of its files, which may be gone. Raises NotFoundError (`sample_not_found`)."""
        try:
            held = self.get(sample_id).file_ids
        except StorageError as error:
            if error.code != "invalid_sample_record":
                raise
            held = self._pins.held_by(sample_id)
        if not self._store.delete(SAMPLES, RECORDS + sample_id):  # somebody else was faster
            raise sample_not_found(sample_id)
        self._pins.unpin(sample_id, held)

    def _present(self, sample_id: str) -> SampleRecord | None:
        try:
            return self.get(sample_id)
        except NotFoundError:
            return None

    def _readable(self, sample_id: str) -> SampleRecord | None:
        try:
            return self._present(sample_id)
        except StorageError as error:
            if error.code != "invalid_sample_record":
                raise
            logger.warning("Left out of the list of samples: %s", error)
            return None


def sample_not_found(sample_id: str) -> NotFoundError:
    """Return the error of a sample that is not there."""
    return NotFoundError(
        f"There is no sample '{encodable(sample_id)}' in this store: it was never created, or was deleted.",
        code="sample_not_found",
        details={"sample_id": encodable(sample_id)},
    )


def _invalid(sample_id: str, error: ValueError) -> StorageError:
    why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return StorageError(
        f"The record of sample '{sample_id}' cannot be read: {why}. Delete the sample, and create it again.",
        code="invalid_sample_record",
        details={"sample_id": sample_id, "reason": why},
    )


def _refuse(missing: Sequence[str]) -> None:
    """Raise NotFoundError (`sample_input_files_not_found`) where a file is missing."""
    if missing:
        raise NotFoundError(
            "These files of the sample do not exist (never uploaded, deleted or expired):\n" + "\n".join(missing),
            code="sample_input_files_not_found",
            details={"file_ids": list(missing)},
        )


def _files_of(records: Iterable[SampleRecord]) -> list[str]:
    return [*dict.fromkeys(name for record in records for name in record.file_ids)]


def _in_parts(check: FileCheck, file_ids: Sequence[str]) -> list[str]:
    """Return which of many files `check` finds missing; it is asked about several parts at a time."""
    parts = [file_ids[start : start + _PART] for start in range(0, len(file_ids), _PART)]
    return [name for found in at_once(check, parts, fewest=2) for name in found]

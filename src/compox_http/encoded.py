"""Algorithms as JSON, each written once for as long as its record stays the same."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from compox_core.records import AlgorithmRecord
from compox_http import shaping


class EncodedAlgorithms:
    """Remembers the JSON of the records of the last list of all; for threads, which may at worst write one twice."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[AlgorithmRecord, bytes]] = {}

    def array(self, records: Sequence[AlgorithmRecord]) -> bytes:
        """Return a JSON array of these records."""
        known = self._known  # which holds its records, so that no other can have their identity
        found = {id(record): known.get(id(record)) or _encoded(record) for record in records}
        if not found.keys() <= known.keys():
            self._known = found
        return b"[" + b",".join(text for _, text in found.values()) + b"]"


def _encoded(record: AlgorithmRecord) -> tuple[AlgorithmRecord, bytes]:
    return record, to_json(shaping.algorithm(record), inf_nan_mode="null")

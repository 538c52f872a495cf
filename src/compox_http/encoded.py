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
        known = self._known
        found = {}
        for record in records:
            entry = known.get(id(record))
            if entry is None or entry[0] is not record:
                entry = record, to_json(shaping.algorithm(record), inf_nan_mode="null")
            found[id(record)] = entry
        if len(found) >= len(known) or not found.keys() <= known.keys():
            self._known = found  # which holds the records, so that no other can have their identity
        return b"[" + b",".join(text for _, text in found.values()) + b"]"

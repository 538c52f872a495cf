"""The file that keeps the end of a job which the store refused: what stands in it, and how it is read.

`<collection>/compox_emergency_<id>.json` holds the record, and beside its fields

    _emergency_storage_error, _storage_error_code, _storage_retryable   what the store said
    _emergency_store                                                    which store the record belongs to
    _emergency_holder                                                   the process that ran the job
    _emergency_attempt                                                  the attempt that has ended
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compox_core.storage import atomic
from compox_core.storage.keys import is_key
from compox_core.storage.private import read_private

MARK = "_emergency_"
LOG_KEPT = 64 * 1024  # characters; of a record that does not fit as a whole
LOST = "… what the log said before is lost: there was no room for it\n"
_NAME = re.compile(r"compox_emergency_(?P<id>.+)\.json")


@dataclass(frozen=True)
class Kept:
    """The end of a job that waits for the store. `fields` are those of the record, as JSON holds them."""

    collection: str
    record_id: str
    attempt: int
    holder: dict[str, Any]
    fields: dict[str, Any]
    store: str


def file_name(record_id: str) -> str | None:
    """Return the name of the file that keeps a record; None where no file can have it."""
    name = f"compox_emergency_{record_id}.json"
    return name if record_id and is_key(name) and "/" not in name else None


def record_of(name: str) -> str | None:
    """Return the id of the record that a file of this name keeps; None where it keeps none."""
    match = _NAME.fullmatch(name)
    return match["id"] if match and is_key(name) else None


def written(kept: Kept, error: Exception) -> bytes:
    """Return the file's content."""
    content = {
        **kept.fields,
        f"{MARK}storage_error": str(error),
        f"{MARK}storage_error_code": str(getattr(error, "code", type(error).__name__)),
        f"{MARK}storage_retryable": bool(getattr(error, "retryable", False)),
        f"{MARK}store": kept.store,
        f"{MARK}holder": kept.holder,
        f"{MARK}attempt": kept.attempt,
    }
    return json.dumps(content, indent=4).encode()


def stated(path: Path) -> Kept:
    """Return what a file says. Raises ValueError (or RecursionError) where it is none of ours, and OSError."""
    content = json.loads(atomic.patiently(lambda: read_private(path)))
    if not isinstance(content, dict):
        raise ValueError("it holds no record")
    store, holder, attempt = (content.get(MARK + name) for name in ("store", "holder", "attempt"))
    if store is None:
        raise ValueError("it was not written by this program")
    if not isinstance(store, str) or not isinstance(holder, dict) or type(attempt) is not int or attempt < 1:
        raise ValueError("what it says of store, holder and attempt cannot be understood")
    fields = {name: value for name, value in content.items() if not name.startswith(MARK)}
    return Kept(path.parent.name, record_of(path.name) or "", attempt, holder, fields, store)


def shortened(kept: Kept) -> Kept | None:
    """Return a record with the last lines of its log only, which is what makes records long; None for a short one."""
    log = kept.fields.get("log")
    if not isinstance(log, str) or len(log) <= LOG_KEPT:
        return None
    return replace(kept, fields={**kept.fields, "log": LOST + log[-LOG_KEPT:]})

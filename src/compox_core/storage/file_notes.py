"""What is noted of data files beside them: which content they have, and which file has a content.

A note is of no importance: where one is missing the file has another tag, and its content is stored once more. A note
says nothing of a file that is gone; see `compox_core.jobs.retention.expired` for how they expire.
"""

from __future__ import annotations

import re

from compox_core.errors import NotFoundError
from compox_core.storage.collections import FILES
from compox_core.storage.file_places import is_file_id
from compox_core.storage.objects import ObjectStore

HASHES = "sha256/"
CONTENTS = "content/"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileNotes:
    """The notes about the files of a store. Holds no state of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def note_hash(self, file_id: str, sha256: str) -> None:
        """Note the SHA-256 of the content of a file."""
        self._store.put(FILES, HASHES + file_id, sha256.encode())

    def hash_of(self, file_id: str) -> str | None:
        """Return the SHA-256 of the content of a file that is there; None where it is not known."""
        sha256 = self._read(HASHES + file_id)
        return sha256 if sha256 is not None and _SHA256.fullmatch(sha256) else None

    def note_content(self, sha256: str, file_id: str) -> None:
        """Note a file that has this content, in place of one that was noted before."""
        self._store.put(FILES, CONTENTS + sha256, file_id.encode())

    def file_with(self, sha256: str) -> str | None:
        """Return a file that has this content; None where none is known, or that one is gone."""
        file_id = self._read(CONTENTS + sha256)
        return file_id if file_id is not None and is_file_id(file_id) and self._store.exists(FILES, file_id) else None

    def forget(self, file_id: str) -> None:
        """Remove what is noted of a file that is gone. Of its content another file may be noted by now: that stays."""
        self._store.delete(FILES, HASHES + file_id)

    def _read(self, key: str) -> str | None:
        try:
            return self._store.get(FILES, key).decode("utf-8", "replace")
        except NotFoundError:
            return None


def noted_file(key: str) -> str | None:
    """Return the file that a key's object tells the content of; None where it does not."""
    return key.removeprefix(HASHES) if key.startswith(HASHES) else None


def is_content_note(key: str) -> bool:
    """Return whether a key's object tells which file has a content."""
    return key.startswith(CONTENTS)

"""Removes what processes that died have left on this machine, and unfinished in the store."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from compox_core.algorithms import cache_leftovers
from compox_core.jobs.retention.broom import Broom
from compox_core.storage.staging import clear_stale
from compox_core.training import temp_folder

TEMPORARY = ("compox-????????-????-????-????-????????????", "compox-pack-*", "compox-import-*")
"""What uploads, deploys and trial imports call their temporary files and folders."""


def clear_machine(broom: Broom, temp_path: Path | None = None) -> None:
    """Remove temporary files that nobody has written to for a day, and what is left in the module cache.

    `temp_path` is where trainings keep their files; None for the system's folder of temporary files.
    """
    count, size = broom.store.clear_temporary(dry_run=broom.dry_run)
    if count:
        broom.ledger.removed(broom.store.url, "unfinished objects", size, count)
    for pattern in TEMPORARY:
        count, size = clear_stale(Path(tempfile.gettempdir()), pattern, own_only=True, dry_run=broom.dry_run)
        if count:
            broom.ledger.removed("temporary files", "uploads and deploys that died", size, count)
    for path, size in broom.each(list(temp_folder.abandoned(temp_path))):
        broom.remove("temporary files", "trainings that died", size, partial(temp_folder.clear, path))
    for path, size in broom.each(list(cache_leftovers.leftovers())):
        broom.remove("module cache", "modules of processes that died", size, partial(cache_leftovers.remove, path))

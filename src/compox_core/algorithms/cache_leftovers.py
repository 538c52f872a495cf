"""What processes that died have left in the folder of extracted modules.

A module under extraction lies in `.a_<hash>.<token>` until it is whole, and a damaged one that is being replaced in
such a folder, too: what is a day old has been left. `d_<token>.location` is there as long as a process imports a folder
of an author where it lies; it says which process that is.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from compox_core.algorithms.scope import folders
from compox_core.holder import Holder

PARTIAL_SECONDS = 24 * 3600.0
LOCATION_SECONDS = 7 * 24 * 3600.0


def leftovers() -> Iterator[tuple[Path, int]]:
    """Yield what dead processes left in this machine's cache folder, with its bytes."""
    cache = folders.cache_folder()
    for path in sorted(cache.glob(".a_*")):
        with suppress(OSError):  # it is being finished, or cleared, at this moment
            if path.is_dir() and time.time() - path.stat().st_mtime > PARTIAL_SECONDS:
                yield path, sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    for path in sorted(cache.glob("d_*.location")):
        with suppress(OSError):
            if _is_left(path):
                yield path, path.stat().st_size


def remove(path: Path) -> bool:
    """Remove one of `leftovers`; return whether it was there."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return True
    shutil.rmtree(path)
    return True


def _is_left(path: Path) -> bool:
    try:
        holder = Holder.model_validate_json(folders.read_location(path)[1])
    except ValidationError:
        holder = None
    if holder is not None and holder.gone_here() is not None:
        return bool(holder.gone_here())
    return time.time() - path.stat().st_mtime > LOCATION_SECONDS

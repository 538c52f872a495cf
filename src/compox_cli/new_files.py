"""Single files that a command writes: looked at before the work begins, and there whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compox_core.errors import ConflictError, InvalidInputError, StorageError


def check_new_file(path: Path, overwrite: bool, option: str) -> None:
    """Raise where a file could not be written: InvalidInputError (`output_folder_not_usable`), ConflictError
    (`output_exists`). `option` is the one that named it."""
    why = ""
    if path.is_dir():
        why = "it is a folder: name a file"
    elif not path.parent.is_dir():
        why = f"there is no folder '{path.parent}': make it first"
    if why:
        raise InvalidInputError(
            f"'{path}' cannot be written, because {why}.",
            code="output_folder_not_usable",
            details={"output": str(path)},
        )
    if path.exists() and not overwrite:
        raise ConflictError(
            f"'{path}' exists already: choose another file with {option}, or replace it with --overwrite.",
            code="output_exists",
            details={"output": str(path)},
        )


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path`, with the same suffix; what is written there takes its place when the block ends well.

    Raises StorageError (`output_write_failed`).
    """
    part = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield part
        part.replace(path)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"'{path}' could not be written: {error}. Check free space and permissions.",
            code="output_write_failed",
            details={"output": str(path)},
        ) from error
    finally:
        part.unlink(missing_ok=True)

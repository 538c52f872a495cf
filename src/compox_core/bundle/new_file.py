"""A file that appears under its name when it is whole."""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from compox_core.errors import ConflictError, StorageError
from compox_core.storage.atomic import publish_new, publish_over, sync_file, sync_folder
from compox_core.storage.local_errors import reported

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


@contextmanager
def new_file(path: Path | str, size: int, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Give a file to be written that takes the name `path` when the block has ended well, and else is gone.

    Args:
        size: What it will have at least, in bytes.
        replace: Whether a file of that name is replaced.

    Raises:
        ConflictError: `bundle_exists`.
        StorageError: `disk_full`, before the block is entered where that can be told; what the system refused.
    """
    target = Path(path).expanduser().absolute()
    _check_room(target, size, replace)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")
    try:
        with io.BufferedWriter(_Reported.create(partial, str(target))) as file:
            yield cast(BinaryIO, file)
            file.flush()
            with reported("write", str(target)):
                sync_file(file.fileno())
        with reported("write", str(target)):
            _publish(partial, target, replace)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class _Reported(io.FileIO):
    """A file whose errors are those of `where`."""

    where: str

    @classmethod
    def create(cls, path: Path, where: str) -> Self:
        with reported("write", where):
            file = cls(path, "x")
        file.where = where
        return file

    def write(self, data: Buffer, /) -> int:
        with reported("write", self.where):
            return super().write(data)


def _check_room(target: Path, size: int, replace: bool) -> None:
    with reported("write", str(target)):
        if target.exists() and not replace:
            raise _exists(target)
        free = shutil.disk_usage(target.parent).free
    if free < size:
        raise StorageError(
            f"Cannot write {target}: the bundle will have {size} bytes and {free} are free. Free some space.",
            code="disk_full",
            details={"where": str(target), "needed": size, "free": free},
            retryable=True,
        )


def _publish(partial: Path, target: Path, replace: bool) -> None:
    try:
        if replace:
            publish_over(partial, target)
        else:
            publish_new(partial, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:
        if replace or target.exists():
            raise
        publish_over(partial, target)  # a memory stick's filesystem has no second names, by which the other way goes
    sync_folder(target.parent)


def _exists(target: Path) -> ConflictError:
    return ConflictError(
        f"{target} exists already. Choose another name, or have it replaced.",
        code="bundle_exists",
        details={"path": str(target)},
    )

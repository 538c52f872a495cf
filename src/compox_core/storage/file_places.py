"""Where a data file lies in `data-store`, and what a client may call one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compox_core.errors import ConflictError, InvalidInputError, NotFoundError
from compox_core.identity import is_id
from compox_core.storage.keys import is_key

NAMED = "v1/"
"""What the keys of files begin with that clients have put under names of their own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(?<!\.)")


def is_file_id(text: str) -> bool:
    """Return whether this is the id of a file that came through us, stored or not."""
    return is_id(text)


def places(file_id: str) -> list[str]:
    """Return the keys at which a file of this name may lie; none where it cannot be the name of any."""
    found = [file_id] if is_file_id(file_id) else []
    return [*found, NAMED + file_id] if _is_name(file_id) else found


def named_key(name: str) -> str:
    """Return the key of a file that a client gives a name of its own.

    Raises InvalidInputError (`invalid_file_name`) where no file can have it.
    """
    if _is_name(name):
        return NAMED + name
    raise InvalidInputError(
        f"{name[:200]!r} cannot name a file: use 1 to 200 letters, digits, '.', '_' and '-', the first of them a "
        "letter or digit, the last no '.'; a device's name on Windows is none either.",
        code="invalid_file_name",
        details={"object_name": name[:200]},
    )


def file_of(key: str) -> str:
    """Return the name of the file that an object of `data-store` is."""
    return key.removeprefix(NAMED)


def file_exists(name: str) -> ConflictError:
    """Return the error of a name that is taken."""
    return ConflictError(
        f"There is a file {name!r} already, and files never change: choose another name, or delete that one.",
        code="file_exists",
        details={"object_name": name},
    )


def file_in_use(file_id: str, sample_ids: Sequence[str]) -> ConflictError:
    """Return the error of a file that samples use."""
    named = ", ".join(sample_ids[:3]) + (f" and {len(sample_ids) - 3} more" if len(sample_ids) > 3 else "")
    return ConflictError(
        f"The file {file_id!r} is used by {len(sample_ids)} training sample{'s' * (len(sample_ids) > 1)} ({named}): "
        "delete them first, then the file.",
        code="file_in_use",
        details={"file_id": file_id, "sample_ids": list(sample_ids)},
    )


def file_not_found(file_id: str) -> NotFoundError:
    """Return the error of a file that is not there."""
    return NotFoundError(
        f"There is no file {file_id!r} in the store. Upload it again; files may be deleted after some time.",
        code="file_not_found",
        details={"file_id": file_id},
    )


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text)) and is_key(NAMED + text)

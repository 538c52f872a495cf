"""The chain of directories (pages) of a TIFF, followed to its end before a page is decoded.

TIFF 6.0, section 2, and its BigTIFF variant. The reader of the pages stops without a word where the chain leaves the
file, so a file that was cut off between two pages would lose the rest, and it follows some loops for ever.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_CLASSIC, _BIG = 42, 43


def check_directories(file: BinaryIO) -> None:
    """Raise ValueError unless the chain begins in the file, ends properly and has no loop."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    magic = struct.unpack(f"{order}H", head[2:])[0] if order and len(head) == 4 else None
    if magic not in (_CLASSIC, _BIG):
        raise ValueError("it does not begin like a TIFF")
    first, count_form, offset_form, tag_size = (4, "H", "I", 12) if magic == _CLASSIC else (8, "Q", "Q", 20)
    count_form, offset_form = f"{order}{count_form}", f"{order}{offset_form}"
    offset = _number(file, first, offset_form)
    seen: set[int] = set()
    while offset or not seen:
        if offset in seen:
            raise ValueError(f"page {len(seen) + 1} is an earlier page again")
        if not 8 <= offset < size:
            raise ValueError(f"page {len(seen) + 1} lies beyond the end of the file")
        seen.add(offset)
        tags = _number(file, offset, count_form)
        offset = _number(file, offset + struct.calcsize(count_form) + tags * tag_size, offset_form)


def _number(file: BinaryIO, offset: int, form: str) -> int:
    file.seek(offset)
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("a page directory is cut off")
    return int(struct.unpack(form, data)[0])

"""What a bundle tells without a key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compox_core.bundle.container.failures import malformed
from compox_core.bundle.container.header import FAMILY, VERSION_LINE, Header, parse_header
from compox_core.bundle.container.source import SourceFile
from compox_core.errors import InvalidInputError

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_LINE = re.compile(re.escape(FAMILY) + rb"([0-9]{1,9})\n")


@dataclass(frozen=True)
class BundleOutline:
    """A bundle's version, its size in bytes, what opens it (`key`, `passphrase`, `recipient`), its chunks' size."""

    version: int
    size: int
    slots: tuple[str, ...]
    chunk_bytes: int


def bundle_version(path: Path | str) -> int:
    """Return the version of a bundle by its first bytes: 1 for a zip, else what its version line says.

    Raises:
        InvalidInputError: `invalid_algorithm_bundle`: it is neither.
        NotFoundError: `bundle_not_found`.
    """
    source = SourceFile.open(path)
    try:
        return version_of(source)
    finally:
        source.close()


def outline(path: Path | str) -> BundleOutline:
    """Return all that a bundle of version 2 tells without a key.

    Raises:
        InvalidInputError: as `read_header`.
        NotFoundError: `bundle_not_found`.
    """
    source = SourceFile.open(path)
    try:
        header = read_header(source)
        slots = tuple(slot.kind.name.lower() for slot in header.slots)
        return BundleOutline(2, source.size, slots, 1 << header.log2_chunk)
    finally:
        source.close()


def version_of(source: SourceFile) -> int:
    """Return the version of an opened bundle, as `bundle_version`."""
    start = source.read(0, min(source.size, len(FAMILY) + 10))
    if start.startswith(_ZIP):
        return 1
    line = _LINE.match(start)
    if line is None:
        raise malformed(f"its first line is not '{FAMILY.decode()}' and a number", path=str(source.path))
    return int(line[1])


def read_header(source: SourceFile) -> Header:
    """Return the header of a bundle of version 2.

    Raises:
        InvalidInputError: `unsupported_bundle_format` for another version, else as `parse_header`; `bundle_truncated`.
    """
    version = version_of(source)
    if version != 2:
        raise InvalidInputError(
            f"This is a bundle of version {version}; version 2 was expected."
            + (" A newer compox may read it." if version > 2 else ""),
            code="unsupported_bundle_format",
            details={"version": version},
        )
    return parse_header(_forward(source, len(VERSION_LINE)))


def _forward(source: SourceFile, offset: int) -> Callable[[int], bytes]:
    def take(size: int) -> bytes:
        nonlocal offset
        offset += size
        return source.read(offset - size, size)

    return take

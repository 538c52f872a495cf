"""The heaps that hold the texts of an HDF5 file, walked before the library walks them.

HDF5 file format specification 3.0, III.E "Disk format: level 1E - global heap". A heap that is damaged, by accident or
on purpose, sends HDF5 into an endless loop that no Python code can end (seen with HDF5 2.0: an entry of size 0), and a
text that claims 4 GiB takes them. So texts of variable length are read only from heaps that have them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import h5py

_HEADER = struct.Struct("<4sB3xQ")  # signature, version, size of the heap with this header
_ENTRY = struct.Struct("<HH4xQ")  # index (0: free space), references, size
_REFERENCE = struct.Struct("<IQI")  # length of the text, address of its heap, index in it


def check_heaps(dataset: h5py.Dataset, stream: BinaryIO) -> None:
    """Raise ValueError unless every text of the dataset lies in a sound heap.

    `stream` is the file that the dataset is in. Refused are also texts whose references are compressed or inside a
    header, which h5py writes only when told to.
    """
    file = dataset.file
    plan = file.id.get_create_plist()
    if plan.get_sizes() != (8, 8):
        raise ValueError("texts in files with addresses of other than 8 bytes are not supported")
    base = plan.get_userblock()
    heaps: dict[int, dict[int, int]] = {0: {0: 0}}
    for offset, size in _pieces(dataset):
        raw = _read(stream, offset, size - size % _REFERENCE.size)
        for length, address, index in _REFERENCE.iter_unpack(raw):
            if address not in heaps:
                heaps[address] = _sizes(stream, base + address)
            if length > heaps[address].get(index, 0):
                raise ValueError(f"a text claims {length} bytes that its heap does not have")


def _pieces(dataset: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Offset and size in the file of each part of a dataset that is stored as it is."""
    if dataset.id.get_storage_size() == 0:
        return
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        if offset is None:
            raise ValueError("texts inside a header (compact layout) are not supported")
        yield offset, dataset.id.get_storage_size()
        return
    if dataset.id.get_create_plist().get_nfilters():
        raise ValueError("compressed texts of variable length are not supported")
    for number in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(number)
        yield chunk.byte_offset, chunk.size


def _sizes(stream: BinaryIO, address: int) -> dict[int, int]:
    """The size of each text in the heap at `address`, by its index."""
    signature, version, size = _HEADER.unpack(_read(stream, address, _HEADER.size))
    if signature != b"GCOL" or version != 1 or size < _HEADER.size:
        raise ValueError(f"there is no heap of texts at byte {address}")
    heap = _read(stream, address, size)
    sizes: dict[int, int] = {}
    place = _HEADER.size
    while place + _ENTRY.size <= size:
        index, _, length = _ENTRY.unpack_from(heap, place)
        # Free space counts its own header, a text is padded to 8 bytes.
        step = length if index == 0 else _ENTRY.size + -(-length // 8) * 8
        if step < _ENTRY.size or place + step > size:
            raise ValueError(f"the heap of texts at byte {address} is damaged")
        sizes[index] = length
        place += step
    return sizes


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    """Read exactly so much; a stream may return less than it was asked for."""
    stream.seek(offset)
    parts, left = [], size
    while left > 0:
        part = stream.read(min(left, 2**20))
        if not part:
            raise ValueError(f"the heap of texts at byte {offset} is cut off")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)

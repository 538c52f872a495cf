"""Streams from and to S3 that hold a few megabytes at a time, however large the object is."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PART = 8 * 1024 * 1024  # bytes; S3 takes no parts under 5 MiB
_PARTS_OF_A_SIZE = 2000  # then parts double, so that the 10,000 that S3 allows reach for half a terabyte and more


class Call(Protocol):
    """A request to S3 about one object: the name of the method and its arguments besides bucket and key."""

    def __call__(self, method: str, **arguments: Any) -> dict[str, Any]: ...


class ObjectReader(io.RawIOBase):
    """A seekable stream over `size` bytes that `fetch(first, last)` gives piece by piece."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._fetch = fetch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"Cannot seek to {start + offset}, which is before the start.")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        data = self._fetch(self._position, end - 1)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        rest = self._fetch(self._position, self._size - 1) if self._position < self._size else b""
        self._position += len(rest)
        return rest


class ObjectWriter(io.BufferedIOBase):
    """A stream into an object, which appears by `finish`: one request for a small one, else an upload in parts."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._buffer = bytearray()
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        if self.closed:
            raise ValueError("The stream into the object is closed.")
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PART):
            self._buffer += view[start : start + PART]
            while len(self._buffer) >= 2 * self._part_size():
                self._send(self._part_size())
        return len(view)

    def finish(self) -> None:
        """Publish what was written."""
        if self._upload is None:
            self._call("put_object", Body=bytes(self._buffer))
            return
        self._send(len(self._buffer))
        self._call("complete_multipart_upload", UploadId=self._upload, MultipartUpload={"Parts": self._parts})

    def discard(self) -> None:
        """Drop what was written."""
        self._buffer.clear()
        if self._upload is not None:
            self._call("abort_multipart_upload", UploadId=self._upload)

    def _part_size(self) -> int:
        return PART << len(self._parts) // _PARTS_OF_A_SIZE

    def _send(self, size: int) -> None:
        if self._upload is None:
            self._upload = str(self._call("create_multipart_upload")["UploadId"])
        number = len(self._parts) + 1
        answer = self._call("upload_part", UploadId=self._upload, PartNumber=number, Body=bytes(self._buffer[:size]))
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        del self._buffer[:size]

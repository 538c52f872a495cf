"""What an S3 server's answers and silences become."""

from __future__ import annotations

import socket
import time

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from compox_core.errors import StorageError
from compox_core.storage import FILES, open_store
from compox_core.storage.s3_client import connect
from compox_core.storage.s3_errors import answer, lost_race, no_bucket, no_object, reported
from compox_core.storage.s3_streams import PART, ObjectReader, ObjectWriter


def answered(status: int, code: str) -> OSError:
    """Return an error as s3fs raises it: of the operating system's kind, with the answer as its cause."""
    error = OSError(22, "Invalid argument")
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error.__cause__ = ClientError(said, "PutObject")  # type: ignore[arg-type]
    return error


ANSWERS = [
    (answered(507, "InsufficientStorage"), "disk_full", True),
    (answered(403, "QuotaExceeded"), "disk_full", True),
    (answered(507, ""), "disk_full", True),
    (answered(403, "AccessDenied"), "storage_access_denied", False),
    (answered(403, "SignatureDoesNotMatch"), "storage_access_denied", False),
    (answered(401, ""), "storage_access_denied", False),
    (NoCredentialsError(), "storage_access_denied", False),
    (answered(503, "SlowDown"), "storage_unavailable", True),
    (answered(500, "InternalError"), "storage_unavailable", True),
    (answered(502, ""), "storage_unavailable", True),
    (answered(429, "TooManyRequests"), "storage_unavailable", True),
    (EndpointConnectionError(endpoint_url="http://h"), "storage_unavailable", True),
    (ReadTimeoutError(endpoint_url="http://h"), "storage_unavailable", True),
    (ConnectionResetError(), "storage_unavailable", True),
    (TimeoutError(), "storage_unavailable", True),
    (answered(400, "InvalidBucketName"), "storage_write_failed", False),
    (answered(404, "NoSuchBucket"), "storage_write_failed", False),
    (ParamValidationError(report="x"), "storage_write_failed", False),
]


@pytest.mark.parametrize(("error", "code", "retryable"), ANSWERS, ids=lambda value: str(value)[:40])
def test_answers_become_codes(error: Exception, code: str, retryable: bool) -> None:
    """Each answer has its code, says whether to try again, and names the place."""
    with pytest.raises(StorageError, match="bucket/k") as caught, reported("write", "bucket/k"):
        raise error
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert caught.value.__cause__ is error


def test_a_defect_is_no_outage() -> None:
    """An error that no server causes is left as it is."""
    with pytest.raises(TypeError), reported("write", "bucket/k"):
        raise TypeError("a defect")


def test_a_lost_race_is_told_from_an_invalid_name() -> None:
    """Both are errno 22; the answer tells them apart."""
    assert lost_race(answered(412, "PreconditionFailed"))
    assert lost_race(answered(409, "ConditionalRequestConflict"))
    assert not lost_race(answered(400, "InvalidBucketName"))
    assert not lost_race(OSError(22, "Invalid argument"))


def test_a_missing_object_is_told_from_a_missing_bucket() -> None:
    """Both are 404."""
    assert no_object(answered(404, "NoSuchKey"))
    assert not no_object(answered(404, "NoSuchBucket"))
    assert no_bucket(answered(404, "NoSuchBucket"))
    assert not no_bucket(answered(404, "NoSuchKey"))
    assert answer(OSError()) == (0, "")


def test_a_server_that_does_not_answer_is_told() -> None:
    """A server that takes connections and says nothing is an outage after the time limits that were set."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {
            "endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "key": "k",
            "secret": "s",
            "config_kwargs": {"read_timeout": 0.2},
        }
        start = time.monotonic()
        with pytest.raises(StorageError) as caught:
            open_store("s3://b", options=options).get(FILES, "k")
        assert caught.value.code == "storage_unavailable"
        assert time.monotonic() - start < 10


def test_an_outage_is_reported_before_a_person_gives_up() -> None:
    """All tries of one request together take no longer than about twenty seconds, and ten where nobody answers."""
    config = connect({"endpoint_url": "http://127.0.0.1:1"}).config_kwargs
    tries = config["retries"]["total_max_attempts"]
    assert tries * config["connect_timeout"] <= 10
    assert tries * config["read_timeout"] <= 20


# Streams


class Server:
    """Takes the requests of an upload in parts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.parts: list[bytes] = []
        self.whole: bytes | None = None

    def __call__(self, method: str, **arguments: object) -> dict[str, object]:
        body = arguments.get("Body", b"")
        assert isinstance(body, bytes)
        self.calls.append((method, len(body)))
        if method == "upload_part":
            assert arguments["PartNumber"] == len(self.parts) + 1
            self.parts.append(body)
        if method == "put_object":
            self.whole = body
        if method == "complete_multipart_upload":
            self.whole = b"".join(self.parts)
        return {"UploadId": "u", "ETag": str(len(self.parts))}


@pytest.mark.parametrize("size", [0, 1, PART, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART])
@pytest.mark.parametrize("piece", [PART // 2 + 1, 5 * PART])
def test_a_stream_is_cut_into_parts(size: int, piece: int) -> None:
    """A small stream is one request; of a large one every part but the last has the size of a part."""
    server = Server()
    writer = ObjectWriter(server)
    data = memoryview(bytes(size))
    for start in range(0, size, piece):
        writer.write(data[start : start + piece])
    writer.finish()
    assert server.whole is not None
    assert len(server.whole) == size
    if size < 2 * PART:
        assert server.calls == [("put_object", size)]
    else:
        assert {len(part) for part in server.parts[:-1]} == {PART}
        assert 0 < len(server.parts[-1]) <= 2 * PART


def test_parts_grow_so_that_they_suffice() -> None:
    """Ten thousand parts hold half a terabyte, though the first ones are small."""
    writer = ObjectWriter(Server())
    total = 0
    for _ in range(10_000):
        total += writer._part_size()
        writer._parts.append({})
    assert total > 5 * 10**11


def test_a_reader_fetches_what_is_read_and_no_more() -> None:
    """Each read asks for its range; at the end nothing is asked for."""
    data = bytes(range(100))
    asked: list[tuple[int, int]] = []

    def fetch(first: int, last: int) -> bytes:
        asked.append((first, last))
        return data[first : last + 1]

    reader = ObjectReader(len(data), fetch)
    assert reader.read(10) == data[:10]
    reader.seek(95)
    assert reader.read(10) == data[95:]
    assert reader.read(10) == b""
    reader.seek(50)
    assert reader.read() == data[50:]
    assert reader.read() == b""
    assert asked == [(0, 9), (95, 99), (50, 99)]
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)

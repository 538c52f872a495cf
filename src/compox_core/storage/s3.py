"""A store on S3: `s3://<bucket>/<path>/<prefix><collection>/<key>`, or a bucket for each collection.

S3 writes an object as a whole or not at all. An exclusive write is a conditional request (`If-None-Match: *`) in one
piece: some servers ignore the condition at the end of an upload in parts.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import Any, BinaryIO, cast

from fsspec.asyn import sync

from compox_core.errors import InvalidInputError, NotFoundError, StorageError
from compox_core.identity import new_token
from compox_core.storage.keys import (
    is_key,
    known_collection,
    listable_prefix,
    object_not_found,
    readable_key,
    writable_key,
)
from compox_core.storage.objects import ObjectInfo, ObjectStore, object_exists
from compox_core.storage.s3_buckets import S3Buckets
from compox_core.storage.s3_client import presign, signer
from compox_core.storage.s3_errors import answer, interrupted, lost_race, no_bucket, no_object, reported
from compox_core.storage.s3_streams import ObjectReader, ObjectWriter
from compox_core.storage.staging import TemporaryFile

_TOKEN = "compox-token"  # the name of the metadata by which an object says which write made it
_WHOLE_LIMIT = 5 * 1024**3  # bytes; what S3 takes in one request
_READ_AHEAD = 4 * 1024 * 1024  # bytes
_CHUNK = 1024 * 1024  # bytes
_ATTEMPTS = 6


class S3Store(ObjectStore):
    """Objects on an S3 server, shared by everybody who has its keys.

    Args:
        filesystem: An s3fs filesystem without listings cache.
        buckets: Where the collections lie on it.
    """

    shared = True

    def __init__(self, filesystem: Any, buckets: S3Buckets) -> None:
        self.url = buckets.url
        self._filesystem = filesystem
        self._buckets = buckets
        self._signers: dict[str | None, Any] = {}

    # Writing

    def put(self, collection: str, key: str, data: bytes) -> None:
        writable_key(collection, key)
        with reported("write", self._where(collection, key)):
            self._call("put_object", collection, key, Body=data)

    def create(self, collection: str, key: str, data: bytes) -> None:
        self._create(collection, writable_key(collection, key), data)

    def put_file(
        self, collection: str, key: str, path: Path, *, consume: bool = False, exclusive: bool = False
    ) -> None:
        writable_key(collection, key)
        with path.open("rb") as source:
            if exclusive:
                self._create(collection, key, source)
            else:
                with self.write(collection, key) as target:
                    shutil.copyfileobj(source, target, _CHUNK)
        if consume:
            path.unlink()

    @contextmanager
    def write(self, collection: str, key: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
        writable_key(collection, key)
        written = self._spooled(collection, key) if exclusive else self._uploaded(collection, key)
        with written as stream:
            yield stream

    def copy(self, collection: str, source: str, target: str) -> None:
        writable_key(collection, target)
        large = self.stat(collection, source).size > _WHOLE_LIMIT
        if self.exists(collection, target):  # neither a copy nor an upload in parts takes a condition
            raise object_exists(collection, target)
        if large:
            with self.open(collection, source) as stream, self.write(collection, target) as sink:
                shutil.copyfileobj(stream, sink, _CHUNK)
            return
        bucket, place = self._buckets.place(collection, source)
        with self._reading(collection, source):
            self._call("copy_object", collection, target, CopySource={"Bucket": bucket, "Key": place})

    def presigned(self, collection: str, key: str, method: str, seconds: int, domain: str | None = None) -> str | None:
        writable_key(collection, key)
        bucket, place = self._buckets.place(collection, key)
        with reported("sign", self._where(collection, key)):
            if domain not in self._signers:
                self._signers[domain] = signer(self._filesystem, domain)
            return presign(self._signers[domain], bucket, place, method, seconds)

    def delete(self, collection: str, key: str) -> bool:
        if not is_key(key) or not self.exists(collection, key):
            return False
        with reported("delete", self._where(collection, key)):
            self._call("delete_object", collection, key)
        return True

    # Reading

    def get(self, collection: str, key: str) -> bytes:
        readable_key(collection, key)
        with self._reading(collection, key):
            return self._download(collection, key)

    def open(self, collection: str, key: str) -> BinaryIO:
        with self._reading(collection, readable_key(collection, key)):
            head = self._call("head_object", collection, key)

        def fetch(first: int, last: int) -> bytes:
            with self._reading(collection, key):
                return self._download(collection, key, Range=f"bytes={first}-{last}", IfMatch=head["ETag"])

        reader = ObjectReader(head["ContentLength"], fetch)
        return cast(BinaryIO, io.BufferedReader(reader, min(_READ_AHEAD, head["ContentLength"] + 1)))

    def stat(self, collection: str, key: str) -> ObjectInfo:
        with self._reading(collection, readable_key(collection, key)):
            head = self._call("head_object", collection, key)
            return _info(key, head["ContentLength"], head)

    def list(self, collection: str, prefix: str = "") -> Iterator[ObjectInfo]:
        known_collection(collection)
        if not listable_prefix(prefix):
            return
        bucket, start = self._buckets.place(collection, "")
        for entry in self._entries(bucket, start + prefix):
            key = entry["Key"].removeprefix(start)
            if is_key(key):
                yield _info(key, entry["Size"], entry)

    def is_empty(self) -> bool:
        return self._buckets.is_empty()

    def ensure_collections(self) -> None:
        self._buckets.ensure()

    def clear_temporary(self, *, dry_run: bool = False) -> tuple[int, int]:
        return self._buckets.clear_temporary(dry_run=dry_run)

    def scratch(self) -> Path:
        return Path(tempfile.gettempdir()) / f"compox-{new_token()}"

    # Requests

    def _where(self, collection: str, key: str) -> str:
        return f"{self.url}: {collection}/{key}"

    def _call(self, method: str, collection: str, key: str, **arguments: Any) -> dict[str, Any]:
        bucket, place = self._buckets.place(collection, key)
        answered: dict[str, Any] = self._filesystem.call_s3(method, Bucket=bucket, Key=place, **arguments)
        return answered

    def _download(self, collection: str, key: str, **arguments: Any) -> bytes:
        bucket, place = self._buckets.place(collection, key)

        async def download() -> bytes:
            response = await self._filesystem._call_s3("get_object", Bucket=bucket, Key=place, **arguments)
            async with response["Body"] as body:
                return cast(bytes, await body.read())

        try:
            return cast(bytes, sync(self._filesystem.loop, download))
        except Exception as error:  # the boundary to s3fs, whose errors have no common class
            if not interrupted(error):
                raise
        return cast(bytes, sync(self._filesystem.loop, download))

    def _entries(self, bucket: str, start: str) -> Iterator[dict[str, Any]]:
        arguments: dict[str, str] = {}
        while True:
            with reported("list", f"{self.url}: {start}*"):
                try:
                    page = self._filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=start, **arguments)
                except Exception as error:  # the boundary to s3fs, whose errors have no common class
                    if not no_bucket(error):
                        raise
                    self._buckets.check_present(bucket)
                    return
            yield from page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            arguments = {"ContinuationToken": page["NextContinuationToken"]}

    @contextmanager
    def _reading(self, collection: str, key: str) -> Iterator[None]:
        with reported("read", self._where(collection, key)):
            try:
                yield
            except Exception as error:  # the boundary to s3fs, whose errors have no common class
                if answer(error)[0] == 412:
                    raise StorageError(
                        f"{collection}/{key} was replaced while it was read. Open it again.",
                        code="object_changed",
                        details={"collection": collection, "key": key},
                        retryable=True,
                    ) from error
                if not no_object(error) and not no_bucket(error):
                    raise
                if answer(error)[1] != "NoSuchKey":  # the answer may mean the bucket
                    self._buckets.check_present(self._buckets.place(collection, key)[0])
                raise object_not_found(collection, key) from None

    # Exclusive and large writes

    def _create(self, collection: str, key: str, body: bytes | BinaryIO) -> None:
        if not isinstance(body, bytes) and body.seek(0, io.SEEK_END) > _WHOLE_LIMIT:
            raise InvalidInputError(
                f"{collection}/{key} has {body.tell()} bytes: on S3 an object created exclusively has at most 5 GiB.",
                code="object_too_large",
                details={"collection": collection, "key": key, "size": body.tell(), "limit": _WHOLE_LIMIT},
            )
        token = new_token()
        for attempt in range(_ATTEMPTS):
            if self._created(collection, key, body, token):
                return
            time.sleep(0.02 * 2**attempt)
        raise StorageError(
            f"Cannot write {self._where(collection, key)}: others kept writing it at the same time. Try again.",
            code="storage_unavailable",
            details={"collection": collection, "key": key},
            retryable=True,
        )

    def _created(self, collection: str, key: str, body: bytes | BinaryIO, token: str) -> bool:
        """Try to create the object; return False when the server wants us to try again."""
        if not isinstance(body, bytes):
            body.seek(0)
        with reported("write", self._where(collection, key)):
            try:
                self._call("put_object", collection, key, Body=body, Metadata={_TOKEN: token}, IfNoneMatch="*")
                return True
            except Exception as error:  # the boundary to s3fs, whose errors have no common class
                # A request that is repeated because its answer was lost is refused by its own object.
                maker = self._maker(collection, key)
                if maker == token:
                    return True
                if not lost_race(error):
                    raise
                if answer(error)[0] == 412 or maker is not None:
                    raise object_exists(collection, key) from None
                return False

    def _maker(self, collection: str, key: str) -> str | None:
        """Return the token of the write that made the object ("" for none), None when it is not there or unknown."""
        try:
            with self._reading(collection, key):
                head = self._call("head_object", collection, key)
        except (NotFoundError, StorageError):
            return None
        return str(head.get("Metadata", {}).get(_TOKEN, ""))

    @contextmanager
    def _spooled(self, collection: str, key: str) -> Iterator[BinaryIO]:
        spool = self.scratch()
        file = TemporaryFile(spool, self._where(collection, key))
        try:
            with io.BufferedWriter(file, _CHUNK) as stream:
                yield stream
            with spool.open("rb") as body:
                self._create(collection, key, body)
        finally:
            file.close()
            spool.unlink(missing_ok=True)

    @contextmanager
    def _uploaded(self, collection: str, key: str) -> Iterator[BinaryIO]:
        token = new_token()

        def call(method: str, **arguments: Any) -> dict[str, Any]:
            if method in ("put_object", "create_multipart_upload"):
                arguments["Metadata"] = {_TOKEN: token}
            with reported("write", self._where(collection, key)):
                return self._call(method, collection, key, **arguments)

        writer = ObjectWriter(call)
        try:
            yield cast(BinaryIO, writer)
            self._finish(writer, collection, key, token)
        except BaseException:  # whatever ends the block early, a stop or a closed generator too
            with suppress(StorageError):  # what cannot be dropped now is invisible, and cleared later
                writer.discard()
            raise

    def _finish(self, writer: ObjectWriter, collection: str, key: str, token: str) -> None:
        try:
            writer.finish()
        except StorageError:
            # A finish that is repeated because its answer was lost finds no upload any more.
            if self._maker(collection, key) != token:
                raise


def _info(key: str, size: int, answered: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(key, size, answered["LastModified"].astimezone(UTC), answered["ETag"].strip('"'))

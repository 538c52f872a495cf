"""Where the collections of a store lie on an S3 server: all in one bucket under a path, or in a bucket each."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from compox_core.errors import SettingsError, StorageError
from compox_core.identity import new_token, utc_now
from compox_core.storage.collections import ALL, SYSTEM
from compox_core.storage.keys import TEMPORARY
from compox_core.storage.s3_errors import answer, lost_race, no_bucket, no_object, reported

_PROBE = TEMPORARY + "-exclusive"
_STALE_AFTER = timedelta(days=1)


class S3Buckets:
    """The buckets of a store.

    Args:
        filesystem: An s3fs filesystem.
        bucket: The bucket that holds all collections, or None for a bucket `<prefix><collection>` each.
        path: In that bucket, what all keys begin with.
        prefix: Put before the name of each collection.
        region: Where new buckets are made; only Amazon's server takes one.
    """

    def __init__(
        self, filesystem: Any, *, bucket: str | None, path: str = "", prefix: str = "", region: str | None = None
    ) -> None:
        self.url = f"s3://{bucket}/{path}".rstrip("/") if bucket else f"s3://{prefix}*"
        self._filesystem = filesystem
        self._bucket = bucket
        self._path = f"{path.strip('/')}/" if path.strip("/") else ""
        self._prefix = prefix
        self._region = region
        self._ensured = False

    def place(self, collection: str, key: str) -> tuple[str, str]:
        """Return bucket and full key of an object."""
        if self._bucket is None:
            return self._prefix + collection, key
        return self._bucket, f"{self._path}{self._prefix}{collection}/{key}"

    def _tops(self) -> list[tuple[str, str]]:
        """Return each bucket with what all keys of the store in it begin with."""
        if self._bucket is None:
            return [self.place(name, "") for name in ALL]
        return [(self._bucket, self._path + self._prefix)]

    def ensure(self) -> None:
        """Make the missing buckets, clear what dead writers left, and try whether exclusive writes work."""
        for bucket, _ in self._tops():
            with reported("prepare", f"the bucket {bucket}"):
                self._make(bucket)
        self._check_exclusive()
        self._ensured = True
        with suppress(StorageError):  # not every server and not every key can list uploads; it is tidying only
            self.clear_temporary()

    def is_empty(self) -> bool:
        """Return whether no object at all lies in the collections."""
        return not any(self._has_any(*self.place(name, "")) for name in ALL)

    def check_present(self, bucket: str) -> None:
        """Raise `StorageError` when a bucket that was there has gone: that must not read as an empty store."""
        if self._ensured and not self._exists(bucket):
            raise StorageError(
                f"The bucket {bucket} of the store {self.url} is gone; it was there when the store was opened.",
                code="storage_unavailable",
                details={"where": self.url, "bucket": bucket},
                retryable=True,
            )

    def _exists(self, bucket: str) -> bool:
        with reported("read", f"the bucket {bucket}"):
            try:
                self._filesystem.call_s3("head_bucket", Bucket=bucket)
            except Exception as error:  # the boundary to s3fs, whose errors have no common class
                if no_object(error) or no_bucket(error):
                    return False
                raise
            return True

    def _make(self, bucket: str) -> None:
        if self._exists(bucket):
            return
        arguments = {"CreateBucketConfiguration": {"LocationConstraint": self._region}} if self._region else {}
        try:
            self._filesystem.call_s3("create_bucket", Bucket=bucket, **arguments)
        except Exception as error:  # the boundary to s3fs, whose errors have no common class
            if answer(error)[1] != "BucketAlreadyOwnedByYou":  # somebody else was quicker
                raise

    def _has_any(self, bucket: str, start: str) -> bool:
        with reported("list", f"the bucket {bucket}"):
            try:
                found = self._filesystem.call_s3("list_objects_v2", Bucket=bucket, Prefix=start, MaxKeys=2)
            except Exception as error:  # the boundary to s3fs, whose errors have no common class
                if no_bucket(error):
                    return False
                raise
        return any(entry["Key"] != start + _PROBE for entry in found.get("Contents", []))

    def _check_exclusive(self) -> None:
        """Write one object exclusively until that is refused, which must be the second time at the latest."""
        bucket, key = self.place(SYSTEM, _PROBE)
        with reported("prepare", f"{bucket}/{key}"):
            for _ in range(2):
                try:
                    self._filesystem.call_s3(
                        "put_object", Bucket=bucket, Key=key, Body=new_token().encode(), IfNoneMatch="*"
                    )
                except Exception as error:  # the boundary to s3fs, whose errors have no common class
                    if lost_race(error):
                        return
                    if answer(error)[0] != 501:
                        raise
                    break
        raise SettingsError(
            f"The S3 server of {self.url} does not honour If-None-Match when an object is written, so two writers "
            "could both believe that they were first. Use a server that does: Amazon S3, Ceph, or a current MinIO.",
            code="unsupported_filesystem",
            details={"where": self.url},
        )

    def clear_temporary(self, *, dry_run: bool = False) -> tuple[int, int]:
        """Drop uploads in parts that began more than a day ago and were never finished; return count and bytes."""
        count = size = 0
        for bucket, start in self._tops():
            with reported("prepare", f"the bucket {bucket}"):
                found = self._filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=start)
                for upload in found.get("Uploads", []):
                    if upload["Initiated"] < utc_now() - _STALE_AFTER:
                        count, size = count + 1, size + self._drop(bucket, upload, dry_run)
        return count, size

    def _drop(self, bucket: str, upload: dict[str, Any], dry_run: bool) -> int:
        which = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        parts = self._filesystem.call_s3("list_parts", **which).get("Parts", [])
        if not dry_run:
            self._filesystem.call_s3("abort_multipart_upload", **which)
        return sum(int(part["Size"]) for part in parts)

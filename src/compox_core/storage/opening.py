"""From a URL to a store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from compox_core.errors import SettingsError
from compox_core.storage.folder import FolderStore
from compox_core.storage.keys import is_key
from compox_core.storage.memory import MemoryStore
from compox_core.storage.objects import ObjectStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=://)")  # one letter is a Windows drive
_PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,30})?")


def open_store(
    url: str | Path,
    *,
    prefix: str = "",
    options: Mapping[str, Any] | None = None,
    bucket_per_collection: bool = False,
    fsync: bool = False,
) -> ObjectStore:
    """Return the store that `url` names; `initialise` then makes it ready for use.

    Args:
        url: `memory://` (a new, private store at each call), a folder or a `file://` URL, `s3://bucket/prefix`, or
            the URL of another filesystem that fsspec knows and that creates files exclusively by itself.
        prefix: Put before the name of each collection: up to 31 lower-case letters, digits and `-`.
        options: What the filesystem takes; for S3 `endpoint_url`, `key`, `secret` and the others of
            `s3fs.S3FileSystem`.
        bucket_per_collection: With `s3://`, keep each collection in a bucket of its own, named prefix + collection.
        fsync: In a folder, let a write return only when it would survive a power cut.

    Raises:
        SettingsError: The URL or an option does not fit, or (code `unsupported_filesystem`) the filesystem does not
            create exclusively; others are found out by `initialise`.
        MissingExtraError: The URL needs an optional dependency.
    """
    if not _PREFIX.fullmatch(prefix):
        raise SettingsError(
            f"The collection prefix {prefix!r} does not fit: use up to 31 lower-case letters, digits and "
            "'-', the first of them no '-'.",
            details={"prefix": prefix},
        )
    text = str(url)
    scheme = _SCHEME.match(text)
    kind = scheme[0].lower() if scheme else "file"
    if kind == "memory":
        return MemoryStore()
    if kind == "file":
        root = _path_of(text) if scheme else Path(text).expanduser()
        return FolderStore(root, prefix=prefix, fsync=fsync)
    if kind == "s3":
        return _open_s3(text, prefix, options or {}, bucket_per_collection=bucket_per_collection)
    return _open_other(text, kind, prefix, options or {})


def _open_s3(url: str, prefix: str, options: Mapping[str, Any], *, bucket_per_collection: bool) -> ObjectStore:
    from compox_core.storage.s3_client import connect

    filesystem = connect(options)
    # These need fsspec, which costs the start of everybody who has no S3.
    from compox_core.storage.s3 import S3Store
    from compox_core.storage.s3_buckets import S3Buckets

    bucket, _, path = url.split("://", 1)[1].strip("/").partition("/")
    if bucket_per_collection == bool(bucket) or (path and not is_key(path)):
        form = "s3:// alone, because each collection has its bucket" if bucket_per_collection else "s3://bucket/path"
        raise SettingsError(f"{url!r} does not name a store on S3: write {form}.", details={"url": url})
    # Ceph and others take no region for a new bucket; Amazon takes each but its first.
    region = (options.get("client_kwargs") or {}).get("region_name")
    if options.get("endpoint_url") or region == "us-east-1":
        region = None
    return S3Store(filesystem, S3Buckets(filesystem, bucket=bucket or None, path=path, prefix=prefix, region=region))


def _open_other(url: str, kind: str, prefix: str, options: Mapping[str, Any]) -> ObjectStore:
    import fsspec

    if kind not in fsspec.available_protocols():
        raise SettingsError(
            f"A store cannot be opened at {url!r}: {kind!r} is not among the known kinds of place. "
            "Give memory://, a folder, a file:// URL, s3://bucket/prefix or another URL that fsspec knows.",
            details={"url": url},
        )
    from compox_core.storage.filesystem import FilesystemStore
    from compox_core.storage.trial import check_offer

    try:
        filesystem, root = fsspec.core.url_to_fs(
            url, **{**options, "use_listings_cache": False, "skip_instance_cache": True}
        )
    except (ImportError, ValueError, TypeError, OSError) as error:
        raise SettingsError(f"The filesystem of {url!r} cannot be opened: {error}.", details={"url": url}) from error
    check_offer(filesystem, url)
    return FilesystemStore(filesystem, root, url=url, prefix=prefix)


def _path_of(url: str) -> Path:
    parts = urlsplit(url)
    host = "" if parts.netloc in ("", "localhost") else f"//{parts.netloc}"
    path = Path(url2pathname(host + parts.path))
    if not path.is_absolute():
        raise SettingsError(
            f"{url!r} names no folder: write file:///folder, or the folder's path.", details={"url": url}
        )
    return path

"""The connection to S3: the one place that imports s3fs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from compox_core.errors import MissingExtraError, SettingsError

# An outage is to be reported in about ten seconds. The client's own defaults try for some minutes.
_CONFIG: Mapping[str, Any] = {
    "connect_timeout": 4,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    # Servers other than Amazon's refuse the checksums that newer clients add to each request unasked.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "max_pool_connections": 32,
}
_SESSION_OPTIONS = {"profile"}


def connect(options: Mapping[str, Any]) -> Any:
    """Return an s3fs filesystem with these options, not yet connected, shared with nobody, without caches.

    Raises:
        MissingExtraError: s3fs is not installed.
        SettingsError: s3fs has no such option, or the endpoint is no URL.
    """
    try:
        import s3fs
    except ImportError as error:
        raise MissingExtraError(
            'A store on S3 needs s3fs, which is not installed: pip install "compox-core[s3]".',
            details={"extra": "s3", "module": "s3fs"},
        ) from error
    known = set(inspect.signature(s3fs.S3FileSystem.__init__).parameters) - {"self", "kwargs"} | _SESSION_OPTIONS
    unknown = sorted(set(options) - known)
    if unknown:
        raise SettingsError(
            f"S3 has no option {', '.join(map(repr, unknown))}; there are {', '.join(sorted(known))}.",
            details={"unknown": unknown, "known": sorted(known)},
        )
    endpoint = options.get("endpoint_url")
    if endpoint and not str(endpoint).startswith(("http://", "https://")):
        raise SettingsError(
            f"The S3 endpoint {endpoint!r} is no URL: write http://host:port or https://host.",
            details={"endpoint_url": str(endpoint)},
        )
    filesystem = s3fs.S3FileSystem(
        **{
            **options,
            "config_kwargs": {**_CONFIG, **options.get("config_kwargs", {})},
            "use_listings_cache": False,  # another process's objects would never be seen
            "skip_instance_cache": True,
        }
    )
    filesystem.retries = 1  # the client below retries; both together would multiply
    return filesystem

"""The connection to S3: the one place that imports s3fs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

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


def signer(filesystem: Any, domain: str | None) -> Any:
    """Return a filesystem that signs URLs of the same place and never connects.

    They are signed for `domain` in place of the endpoint's host, where one is given: a host that is put in afterwards
    would break the signature, which covers it. Scheme, port and path stay; a `domain` may bring a port, or a scheme.
    """
    import s3fs

    config = {**(filesystem.config_kwargs or {}), "signature_version": "s3v4"}
    endpoint = _at_domain(filesystem.endpoint_url, domain) if domain else filesystem.endpoint_url
    if endpoint:
        config["s3"] = {"addressing_style": "path"}
    region = (filesystem.client_kwargs or {}).get("region_name") or "us-east-1"
    return s3fs.S3FileSystem(
        key=filesystem.key,
        secret=filesystem.secret,
        token=filesystem.token,
        endpoint_url=endpoint,
        client_kwargs={**(filesystem.client_kwargs or {}), "region_name": region},
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
        **filesystem.kwargs,
    )


def presign(signer: Any, bucket: str, key: str, method: str, seconds: int) -> str:
    """Return a URL at which whoever has it may `GET` or `PUT` one object for so many seconds; nothing is asked."""
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    url: str = signer.url(f"{bucket}/{key}", expires=seconds, client_method=operation)
    return url


def _at_domain(endpoint: str | None, domain: str) -> str:
    parts = urlsplit(endpoint or "https://s3.amazonaws.com")
    wanted = urlsplit(domain if "://" in domain else f"{parts.scheme}://{domain}")
    port = wanted.port or (None if "://" in domain else parts.port)
    host = f"[{wanted.hostname}]" if wanted.hostname and ":" in wanted.hostname else wanted.hostname or ""
    return f"{wanted.scheme}://{host}" + (f":{port}" if port else "") + parts.path.rstrip("/")

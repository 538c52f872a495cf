"""What answers at an endpoint."""

from __future__ import annotations

import http.client
import ssl
from enum import Enum
from urllib.parse import urlsplit

PROBE_SECONDS = 3.0


class Answer(Enum):
    """What answers: nothing, an S3 server that is not ready, one that is, or something else."""

    NOTHING = "nothing"
    STARTING = "starting"
    S3 = "s3"
    OTHER = "other"


def ask(endpoint: str) -> Answer:
    """Return what answers at the URL of an S3 server; past proxies, without keys. Raises ValueError for no URL."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no URL: write http://host:port")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=PROBE_SECONDS)
    try:
        connection.connect()
    except ssl.SSLError:
        return Answer.OTHER
    except OSError:
        return Answer.NOTHING
    try:
        connection.request("GET", "/")
        return _judged(connection.getresponse())
    except (OSError, http.client.HTTPException):
        return Answer.OTHER
    finally:
        connection.close()


def _judged(response: http.client.HTTPResponse) -> Answer:
    """Tell an S3 server by its headers: each refuses a request without keys in XML."""
    headers = {name.lower(): value.lower() for name, value in response.getheaders()}
    known = (
        any(name.startswith("x-amz-") for name in headers)
        or "minio" in headers.get("server", "")
        or "xml" in headers.get("content-type", "")
    )
    if not known:
        return Answer.OTHER
    return Answer.STARTING if response.status >= 500 else Answer.S3

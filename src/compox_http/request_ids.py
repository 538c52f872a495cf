"""The name of a request, by which its answer, its errors and the lines of the log are found together."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Any

from compox_core.logs import current_request

HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def new_id() -> str:
    """Return an id that no other request has. It is no secret, so the cheaper source of chance will do."""
    return f"{random.getrandbits(64):016x}"


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that the client gives its request in `X-Request-ID`; a new one where that is no sane name."""
    for name, value in headers:
        if name == HEADER and _SANE.fullmatch(value):
            return value.decode("ascii")
    return new_id()


def with_request_id(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of an error with the id of the present request as its last key; outside of any, unchanged."""
    request_id = current_request()
    return body if request_id is None else {**body, "request_id": request_id}

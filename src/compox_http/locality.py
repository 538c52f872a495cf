"""Who may ask for what this machine alone should: programs on it, and no page of somebody else in its browser."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from litestar import Request

from compox_core.errors import ConflictError


def require_local(request: Request[Any, Any, Any]) -> None:
    """Raise ConflictError (`deploy_not_local`) unless a program on this machine asks.

    Behind a proxy on this machine it is the address that the proxy forwards which counts.
    """
    client = request.client
    if client is not None and _is_loopback(client.host):
        return
    raise ConflictError(
        "Deploying a path of the server's disk is for programs on the server's own machine: send the algorithm as a "
        "zip to POST /api/v1/algorithms instead.",
        code="deploy_not_local",
    )


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)

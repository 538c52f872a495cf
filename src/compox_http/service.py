"""What every route needs: the engine, and threads to call it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from litestar import Request

from compox_core.engine import Engine
from compox_http.threads import Threads


@dataclass(frozen=True)
class Service:
    """An engine and the threads in which requests call it. Lives as long as the application."""

    engine: Engine
    threads: Threads = field(default_factory=Threads)

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> Service:
        """Return the service of the application that got `request`."""
        return cast(Service, request.app.state.service)

"""What every route needs: the engine, and threads to call it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

from litestar import Request

from compox_core.engine import Engine
from compox_core.engine.tasks import Tasks
from compox_core.records import TaskRecord
from compox_http.encoded import EncodedAlgorithms
from compox_http.events.feeds import Feeds
from compox_http.readiness import Readiness
from compox_http.threads import Threads

R = TypeVar("R", bound=TaskRecord)


@dataclass
class Service:
    """An engine and the threads in which requests call it. Lives as long as the application."""

    engine: Engine
    threads: Threads = field(default_factory=Threads)
    encoded: EncodedAlgorithms = field(default_factory=EncodedAlgorithms)

    @cached_property
    def feeds(self) -> Feeds:
        """What follows jobs for clients."""
        return Feeds(self.threads)

    @cached_property
    def readiness(self) -> Readiness:
        """Whether the store answers, and the algorithms that come with this server are in it."""
        return Readiness(self.engine.ping, lambda: self.engine.builtin_bundle.check(), self.threads)

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> Service:
        """Return the service of the application that got `request`."""
        return cast(Service, request.app.state.service)

    async def latest(self, tasks: Tasks[R], task_id: str) -> R:
        """Return a record as it is now. Only one of another process, or of long ago, takes the store and a thread."""
        record = tasks.live(task_id)
        return await self.threads.run(tasks.get, task_id) if record is None else record

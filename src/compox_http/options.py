"""Which methods a path has, for who asks by OPTIONS. (What a browser asks before a request is in `cors.py`.)"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from litestar import Response, route
from litestar.handlers import HTTPRouteHandler


def with_options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Return the handlers, and for each of their paths one that answers to OPTIONS.

    The framework has such handlers of its own; where a path has several handlers, they name the first one's methods.
    """
    handlers = list(handlers)
    methods: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for handler in handlers:
        for path in handler.paths:
            methods[path] |= {str(method) for method in handler.http_methods}
    return [*(_options(path, ", ".join(sorted(each))) for path, each in methods.items()), *handlers]


def _options(path: str, methods: str) -> HTTPRouteHandler:
    @route(path, http_method="OPTIONS", status_code=204, include_in_schema=False)
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": methods})

    return options

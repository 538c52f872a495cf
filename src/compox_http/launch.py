"""What `compox-http serve` and `compox run` do once their command lines are understood: serve an engine."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from compox_core.engine import Engine
from compox_core.errors import SettingsError
from compox_core.logs import configure_logging
from compox_core.settings import Settings
from compox_http.app import create_app
from compox_http.serving import bind, is_loopback, run, url_of
from compox_http.tls import tls_context

logger = logging.getLogger(__name__)


def serve(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    insecure: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Open an engine, serve it until SIGINT or SIGTERM, and close it.

    Args:
        settings: The store, and everything else.
        host: The address to listen on, in place of what the settings say.
        port: The same for the port; 0 takes a free one.
        insecure: Let other machines in although nobody has to log in, also where the settings do not say so.
        announce: Is given one line, with the store and the URL, once the server listens.

    Raises CompoxError where the server cannot start; its message says what to do.
    """
    address = settings.host if host is None else host
    if not (insecure or settings.insecure or is_loopback(address)):
        raise _insecure(address)
    tls = tls_context(settings)
    with configure_logging(settings):
        if settings.gui.use_systray:
            logger.warning("There is no tray icon yet: gui.use_systray has no effect.")
        _serve(settings, address, settings.port if port is None else port, tls, announce)


def backend_of(url: str) -> dict[str, str]:
    """Return the `storage.backend_settings` that mean the store at a URL or in a folder."""
    scheme, slashes, _ = url.partition("://")
    if not slashes:
        return {"provider": "local", "path": url}
    return {"provider": "memory"} if scheme.lower() == "memory" else {"provider": "fsspec", "url": url}


def _serve(
    settings: Settings, host: str, port: int, tls: ssl.SSLContext | None, announce: Callable[[str], None]
) -> None:
    engine = Engine(settings, resume=True)
    with bind(host, port) as listener, engine:
        url = url_of(listener, secure=tls is not None)
        if settings.storage.builtin_storage_bundle_required:
            engine.builtin_bundle.finish()
        line = f"Serving {engine.store.url} at {url} (Ctrl+C ends it)"
        run(create_app(engine), listener, lambda: announce(line), tls)


def _insecure(host: str) -> SettingsError:
    return SettingsError(
        f"Listening on {host} would let every machine that reaches this one run algorithms without a log-in: "
        "add --insecure (or `insecure: true` to the configuration) if you want that; without --host, only this "
        "machine is let in.",
        code="insecure_listener",
        details={"host": host},
    )

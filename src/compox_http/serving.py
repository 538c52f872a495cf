"""Listens on a socket until it is told to end."""

from __future__ import annotations

import errno
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

import uvicorn

from compox_core.errors import ConflictError, SettingsError, StateError
from compox_http.protocol import Protocol

if TYPE_CHECKING:
    from litestar import Litestar

KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """A server that tells when it listens, and when it is about to end."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None], ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, listen, and tell so."""
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, let those under way end, and end; streams without an end are ended first."""
        self._ending()
        await super().shutdown(sockets)


def make_server(
    app: Litestar, listening: Callable[[], None] = lambda: None, tls: ssl.SSLContext | None = None
) -> Server:
    """Return a server for `app` that is run with the socket of `bind`; `listening` is called once it answers."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    config.load()
    config.ssl = tls  # its own options would read the files once more, and take TLS of any age
    return Server(config, listening, app.state.get("ending", lambda: None))


def bind(host: str, port: int) -> socket.socket:
    """Return a socket at that address; port 0 takes a free one.

    Raises ConflictError (`port_in_use`) or SettingsError (`invalid_address`), whose messages say what to do.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise _no_address(host, port, str(error)) from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":
            # There, SO_REUSEADDR would let two servers share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"Port {port} on {host} is in use by another program: end that one, or choose another by --port "
                "(--port 0 takes a free one).",
                code="port_in_use",
                details={"host": host, "port": port},
            ) from error
        raise _no_address(host, port, error.strerror or str(error)) from error
    return listener


def url_of(listener: socket.socket, *, secure: bool = False) -> str:
    """Return the URL at which a bound socket is reached."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def run(
    app: Litestar, listener: socket.socket, listening: Callable[[], None], tls: ssl.SSLContext | None = None
) -> None:
    """Serve until SIGINT or SIGTERM (on Windows: Ctrl+C or Ctrl+Break), finish what is under way, and return.

    Raises StateError (`server_not_started`) where the application did not come up.
    """
    server = make_server(app, listening, tls)
    # The server hands the signal on when it has ended, to whoever handled it before; that is nobody.
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    before = {s: signal.signal(s, _ignored) for s in (getattr(signal, n, None) for n in names) if s is not None}
    try:
        server.run([listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not server.started:
        raise StateError("The server did not start: the lines above say why.", code="server_not_started")


def _ignored(number: int, frame: object) -> None:
    """Take a signal that has done its work."""


def _no_address(host: str, port: int, why: str) -> SettingsError:
    return SettingsError(
        f"Cannot listen on {host}, port {port}: {why}. Check --host and --port.",
        code="invalid_address",
        details={"host": host, "port": port},
    )

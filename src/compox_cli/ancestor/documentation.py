"""`serve-docs`: the built documentation in a browser."""

from __future__ import annotations

import errno
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from compox_core.errors import ConflictError, NotFoundError, SettingsError

HOST = "127.0.0.1"


@click.command("serve-docs")
@click.option("--port", type=click.IntRange(0, 65535), default=8234, show_default=True, help="0 takes a free port.")
@click.option(
    "--directory", default="docs/_build/html", show_default=True, metavar="FOLDER", type=click.Path(path_type=Path),
    help="The folder to show.",
)  # fmt: skip
def serve_docs(port: int, directory: Path) -> None:
    """Serve the documentation to this machine until Ctrl+C."""
    if not directory.is_dir():
        raise NotFoundError(
            f"There is no folder '{directory}': build the documentation by `make docs` in a clone, or name its folder "
            "by --directory.",
            code="documentation_not_found",
            details={"directory": str(directory)},
        )
    with _listening(port, directory) as server:
        click.echo(f"Serving {directory} at http://{HOST}:{server.server_port} (Ctrl+C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def _listening(port: int, directory: Path) -> ThreadingHTTPServer:
    try:
        return _Server((HOST, port), partial(SimpleHTTPRequestHandler, directory=str(directory)))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"Port {port} is in use by another program: end that one, or choose another by --port.",
                code="port_in_use",
                details={"host": HOST, "port": port},
            ) from error
        raise SettingsError(
            f"Cannot listen on port {port}: {error.strerror}. Choose another by --port.",
            code="invalid_address",
            details={"host": HOST, "port": port},
        ) from error


class _Server(ThreadingHTTPServer):
    """A server that is not disturbed by a browser that goes away."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: what a browser asks for here is files, and the next request will do."""

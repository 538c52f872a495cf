"""The command `compox-http`: parse, open an engine, serve it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from compox_core._version import __version__
from compox_core.errors import CompoxError, SettingsError


@click.group()
@click.version_option(__version__, prog_name="compox-http")
def cli() -> None:
    """Serve compox over HTTP."""


@cli.command()
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with the configuration.")
@click.option("--store", metavar="URL", help="Where everything is kept: a folder, s3://bucket or memory://.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free port.  [default: 5481]")
@click.option("--insecure", is_flag=True, help="Let other machines in although nobody has to log in.")
def serve(config: Path | None, store: str | None, host: str | None, port: int | None, insecure: bool) -> None:
    """Run the server until Ctrl+C."""
    try:
        _serve(config, store, host, port, insecure)
    except CompoxError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _serve(config: Path | None, store: str | None, host: str | None, port: int | None, insecure: bool) -> None:
    # Only here, so that --help and --version need no web framework and answer at once.
    from compox_core.engine import Engine
    from compox_core.settings import load_settings
    from compox_http.app import create_app
    from compox_http.serving import bind, is_loopback, run, url_of

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if config is not None and store is not None:
        raise click.UsageError("--store and --config exclude each other: name the store in the configuration.")
    engine = Engine(store if config is None else load_settings(config), resume=True)
    host = engine.settings.host if host is None else host
    if not (insecure or engine.settings.insecure or is_loopback(host)):
        raise SettingsError(
            f"Listening on {host} would let every machine that reaches this one run algorithms without a log-in: "
            "add --insecure if you want that.",
            code="insecure_listener",
            details={"host": host},
        )
    if engine.settings.ssl.use_ssl:
        raise SettingsError(
            "The configuration asks for TLS (ssl.use_ssl), which this version does not speak yet: set it to false, and "
            "let a reverse proxy on this machine speak TLS.",
            code="tls_unavailable",
        )
    listener = bind(host, engine.settings.port if port is None else port)
    with listener, engine:
        run(
            create_app(engine),
            listener,
            lambda: click.echo(f"Serving {engine.store.url} at {url_of(listener)} (Ctrl+C ends it)"),
        )

"""The command `compox-http`: parse, and serve."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from compox_core._version import __version__
from compox_core.errors import CompoxError

DOTTED = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Lets a command have any setting as an option: they come as `context.args`."""


@click.group()
@click.version_option(__version__, prog_name="compox-http")
def cli() -> None:
    """Serve compox over HTTP."""


@cli.command(context_settings=DOTTED, options_metavar="[OPTIONS] [--SETTING VALUE]...")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file with the configuration.")
@click.option("--store", metavar="URL", help="Where everything is kept: a folder, s3://bucket or memory://.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1, this machine only]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free port.  [default: 5481]")
@click.option("--insecure", is_flag=True, help="Let other machines in although nobody has to log in.")
@click.pass_context
def serve(
    context: click.Context, config: Path | None, store: str | None, host: str | None, port: int | None, insecure: bool
) -> None:
    """Run the server until Ctrl+C.

    Every setting is an option too, by its dotted name: --logging.console_level DEBUG.
    """
    try:
        _serve(context.args, config, store, host, port, insecure)
    except CompoxError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if error.code == "unknown_option" else 1)


def _serve(
    dotted: list[str], config: Path | None, store: str | None, host: str | None, port: int | None, insecure: bool
) -> None:
    # Only here, so that --help and --version need no web framework and answer at once.
    from compox_core.settings import load_settings, parse_dotted
    from compox_http.launch import backend_of, serve

    if config is not None and store is not None:
        raise click.UsageError("--store and --config exclude each other: name the store in the configuration.")
    overrides = parse_dotted(dotted)
    if store is not None:
        overrides.setdefault("storage", {})["backend_settings"] = backend_of(store)
    settings = load_settings(config, overrides=overrides, environment=os.environ)
    serve(settings, host=host, port=port, insecure=insecure, announce=click.echo)

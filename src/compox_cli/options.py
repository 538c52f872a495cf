"""Options that every command has, and what they make: a place and a screen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from compox_cli.group import Reporting
from compox_cli.messages import shown_messages
from compox_cli.place import Place
from compox_cli.screen import Screen

Command = TypeVar("Command", bound=Callable[..., Any])


def verbose_option(command: Command) -> Command:
    """Add `--verbose`; see `Reporting`."""
    return click.option(
        "-v",
        "--verbose",
        "--traceback",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_set("verbose"),
        help="Show logs as they come, and the traceback of an error.",
    )(command)


def reporting_options(command: Command) -> Command:
    """Add `--json` and `--verbose`; the command gets `screen`."""

    @click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_set("json"),
        help="Print the answer as JSON, and nothing else on stdout.",
    )
    @verbose_option
    @click.pass_context
    @functools.wraps(command)
    def wrapped(context: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        reporting = context.ensure_object(Reporting)
        screen = Screen(as_json=reporting.json, verbose=reporting.verbose)
        with shown_messages(screen):
            return command(*args, screen=screen, **kwargs)

    return wrapped  # type: ignore[return-value]  # click's decorators give back what they take


def place_options(command: Command) -> Command:
    """Add `--store` and `--config`; the command gets `place`."""

    @click.option(
        "--store",
        metavar="URL",
        help="The store: a folder, file://… or s3://bucket/prefix. Default: a folder in your data directory.",
    )
    @click.option(
        "--config",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Take the store and everything else from a YAML configuration.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, store: str | None, config: Path | None, **kwargs: Any) -> Any:
        if store is not None and config is not None:
            raise click.UsageError("--store and --config both name a store: give one of them.")
        if store is not None and not store.strip():
            raise click.UsageError("--store is empty: name a folder or an s3:// URL, or leave it out.")
        if store is not None and store.lower().startswith("memory:"):
            raise click.UsageError(f"'{store}' is gone when this command ends: give a folder or an s3:// URL.")
        return command(*args, place=Place(store, config), **kwargs)

    return wrapped  # type: ignore[return-value]  # click's decorators give back what they take


def parameter_option(command: Command) -> Command:
    """Add `-p key=value`; the command gets `parameters`, a dict."""
    return click.option(
        "-p",
        "--param",
        "parameters",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_parse_parameters,
        help="Set a parameter of the algorithm; the value is JSON, else text. Repeat it for several.",
    )(command)


def _parse_parameters(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    from compox_core.engine.parameter_text import parse_parameters
    from compox_core.errors import InvalidInputError

    try:
        return parse_parameters(values)
    except InvalidInputError as error:
        raise click.UsageError(error.message) from error


def _set(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        setattr(context.ensure_object(Reporting), name, value)

    return note

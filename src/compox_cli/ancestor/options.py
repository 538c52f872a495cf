"""Settings on the command line: a configuration file, and any setting by its dotted name."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compox_core.errors import SettingsError

if TYPE_CHECKING:
    from compox_core.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

DOTTED = {"ignore_unknown_options": True, "allow_extra_args": True}
"""The context settings of a command that takes settings."""


def settings_options(command: Command) -> Command:
    """Add `--config FILE` and `--any.setting VALUE`; the command, which needs `DOTTED`, gets `settings`."""

    @click.option(
        "--config",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The YAML configuration. Any setting may follow as --storage.collection_prefix VALUE.",
    )
    @click.pass_context
    @functools.wraps(command)
    def wrapped(context: click.Context, /, *args: Any, config: Path | None, **kwargs: Any) -> Any:
        return command(*args, settings=settings_of(config, context.args), **kwargs)

    return wrapped  # type: ignore[return-value]  # click's decorators give back what they take


def settings_of(config: Path | None, arguments: Sequence[str]) -> Settings:
    """Return the settings of the command line, the file and the environment; the first of them that has one wins.

    Raises SettingsError, and UsageError for arguments that are no settings.
    """
    from compox_core.settings import load_settings, parse_dotted

    try:
        overrides = parse_dotted(arguments)
    except SettingsError as error:
        raise click.UsageError(error.message) from None
    return load_settings(config, overrides=overrides, environment=os.environ)

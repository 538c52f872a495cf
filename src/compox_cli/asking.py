"""Questions to the person at the terminal."""

from __future__ import annotations

import sys

import click

from compox_cli.group import FAILED
from compox_cli.screen import Screen


def be_sure(question: str, screen: Screen) -> None:
    """Ask before something is removed, and leave where the answer is no.

    Raises UsageError where nobody can be asked.
    """
    if screen.as_json or not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here: add --yes to remove it.")
    if not click.confirm(question, err=True):
        screen.note("Nothing was removed.")
        raise click.exceptions.Exit(FAILED)

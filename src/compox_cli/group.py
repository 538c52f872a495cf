"""The boundary of the command line: every failure becomes an exit code and one or two lines on stderr.

Exit codes: 0 done, 1 failed, 2 the command line itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from compox_core.errors import CompoxError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


@dataclass
class Reporting:
    """How this call reports: with tracebacks and logs, or as JSON. Lives as long as the call."""

    verbose: bool = False
    json: bool = False


class CommandLine(click.Group):
    """A group of commands that reports failures as this product does."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command that `args` name and leave with its exit code."""
        reporting = Reporting()
        try:
            outcome = super().main(args, prog_name, complete_var, False, obj=reporting, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(USAGE)
        except click.UsageError as error:
            _report(reporting, "usage", error.format_message(), _help_hint(error))
            sys.exit(USAGE)
        except click.Abort:
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            _report(reporting, "usage", error.format_message())
            sys.exit(error.exit_code)
        except CompoxError as error:
            _answer(reporting, fail(reporting, error))
            sys.exit(FAILED)
        except Exception as error:  # the boundary: a defect of ours is reported, not spilled
            if reporting.verbose:
                click.echo(traceback.format_exc(), err=True, nl=False)
            _report(
                reporting,
                "internal_error",
                f"Unexpected {type(error).__name__}: {error}",
                "This is a defect: run the command again with --verbose and report what it shows.",
            )
            sys.exit(FAILED)
        sys.exit(outcome if isinstance(outcome, int) else 0)


def fail(reporting: Reporting, error: CompoxError, where: str = "") -> dict[str, Any]:
    """Tell an error on stderr without leaving, and return it for programs.

    `where` is the one of several things that it befell.
    """
    hint = ""
    log = error.details.get("log")
    if isinstance(log, str):
        # How a task failed stands in its log; where this program noticed it tells nobody anything.
        hint = _tell_log(reporting, error, log)
    elif reporting.verbose:
        click.echo(traceback.format_exc(), err=True, nl=False)
    message = error.message if where in error.message else f"{where}: {error.message}"
    _tell(message, hint)
    return {"code": error.code, "message": message, "details": error.details, "retryable": error.retryable}


def _tell_log(reporting: Reporting, error: CompoxError, log: str) -> str:
    """Show the log where it was asked for, else what the error has of it; return what to do for more."""
    if reporting.verbose:
        click.echo(log.rstrip(), err=True)
        return ""
    for note in getattr(error, "__notes__", ()):
        click.echo(note, err=True)
    return "Run it with --verbose to see the log of the task."


def _report(reporting: Reporting, code: str, message: str, hint: str = "") -> None:
    _tell(message, hint)
    _answer(reporting, {"code": code, "message": message, "details": {}, "retryable": False})


def _tell(message: str, hint: str = "") -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo(hint, err=True)


def _answer(reporting: Reporting, error: dict[str, Any]) -> None:
    if reporting.json:
        click.echo(json.dumps({"error": error}, default=str))


def _help_hint(error: click.UsageError) -> str:
    return "" if error.ctx is None else f"See `{error.ctx.command_path} --help`."

"""`gc`: removes what has expired and what nothing refers to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from compox_cli import describe
from compox_cli.group import FAILED
from compox_cli.options import place_options, reporting_options
from compox_cli.place import Place
from compox_cli.screen import Screen

if TYPE_CHECKING:
    from compox_core.jobs.retention import Report

QUIET_SECONDS = 2.0
"""What is done sooner needs no progress."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; show what would be removed.")
@place_options
@reporting_options
def gc(dry_run: bool, place: Place, screen: Screen) -> int:
    """Remove what has expired, what nothing refers to, and what processes that died have left.

    Data files, records of jobs and stop requests expire by their age (storage.*_expire_days of the configuration, or by
    what a server of this store goes by, where that is longer). Servers, runs and deploys may go on meanwhile. The exit
    code is 1 where something could not be done.
    """
    with place.engine(executor="inline") as engine, screen.progress("Clearing up") as report:
        begun = time.monotonic()
        done = engine.gc(
            dry_run=dry_run,
            progress=lambda share: report(share) if time.monotonic() - begun > QUIET_SECONDS else None,
        )
    if screen.as_json:
        screen.answer(done.as_dict())
    else:
        _show(done, screen)
    for problem in done.problems:
        screen.warn(problem)
    return FAILED if done.problems else 0


def _show(done: Report, screen: Screen) -> None:
    verb = "would be removed" if done.dry_run else "removed"
    if done.removed:
        columns = ("from", "what", verb, "size")
        rows = [(each.place, each.what, str(each.count), describe.size(each.bytes)) for each in done.removed]
        screen.table(columns, [*rows, ("total", "", str(done.count), describe.size(done.bytes))], wrapping=2)
    else:
        screen.line(f"Nothing {'would be ' if done.dry_run else ''}removed.")
    for kept in done.kept:
        screen.note(f"Kept {kept.count} {kept.what} of {kept.place}: {kept.why}.")

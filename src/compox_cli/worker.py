"""`worker`: runs the jobs of servers that hand them to a message broker."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compox_cli.group import Reporting
from compox_cli.options import verbose_option

if TYPE_CHECKING:
    from compox_core.settings import Settings

SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")


@click.command()
@click.option(
    "--config", required=True, metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The YAML configuration of the server: its store and its broker.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 1000), metavar="N", help="How many jobs run at a time.")
@verbose_option
@click.pass_obj
def worker(reporting: Reporting, config: Path, workers: int | None) -> int:
    """Run the jobs that servers with the executor celery have accepted.

    Each job runs in a process of its own kind, which is watched, stopped and replaced as in a server. SIGTERM or
    Ctrl-C stops what runs, leaves what waits to other workers, and ends; a second one ends at once.
    """
    from compox_core.settings import load_settings

    settings = load_settings(config, environment=os.environ)
    if reporting.verbose:
        logging = settings.logging.model_copy(update={"console_level": "DEBUG"})
        settings = settings.model_copy(update={"logging": logging})
    return work(settings, workers)


def work(settings: Settings, workers: int | None = None) -> int:
    """Run jobs until a signal, and return the exit code. Raises SettingsError where the settings name no broker."""
    from compox_core.engine.worker import Worker
    from compox_core.logs import configure_logging

    made = Worker(settings, workers)

    def ask(number: int, frame: object) -> None:
        signal.signal(number, leave)
        for other in handled:
            signal.signal(other, leave)
        os.write(sys.stderr.fileno(), b"Stopping; once more to leave at once.\n")
        made.stop()

    def leave(number: int, frame: object) -> None:
        os._exit(128 + number)  # its worker processes end with it; other workers see to its jobs

    handled = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    for number in handled:
        signal.signal(number, ask)
    with configure_logging(settings, name="worker"):
        return made.run(lambda: click.echo(f"Worker {made.name} takes jobs from {made.place} (Ctrl+C ends it)"))

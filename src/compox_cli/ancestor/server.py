"""`run` and `spawn-worker`: the two kinds of process of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from compox_cli.ancestor.options import DOTTED, settings_options
from compox_cli.worker import work
from compox_core.errors import MissingExtraError

if TYPE_CHECKING:
    from compox_core.settings import Settings


@click.command(context_settings=DOTTED)
@settings_options
def run(settings: Settings) -> None:
    """Run the server until Ctrl+C, as `compox-http serve` does."""
    from compox_http.main import EXTRA

    try:
        from compox_http.launch import serve
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise MissingExtraError(
            f'The server needs {error.name}: run pip install "compox-core[http]".', details={"extra": "http"}
        ) from error
    serve(settings, announce=click.echo)


@click.command("spawn-worker", context_settings=DOTTED)
@settings_options
def spawn_worker(settings: Settings) -> int:
    """Run the jobs that servers with the executor celery have accepted, as `compox-cli worker` does."""
    return work(settings)

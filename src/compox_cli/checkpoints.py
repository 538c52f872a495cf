"""`checkpoints`: what trainings have saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from compox_cli import describe_training
from compox_cli.group import Reporting
from compox_cli.options import place_options, reporting_options
from compox_cli.place import Place
from compox_cli.removing import remove_each
from compox_cli.screen import Screen

if TYPE_CHECKING:
    from compox_core.engine import Engine


@click.group(cls=click.Group)
def checkpoints() -> None:
    """Look after what trainings have saved."""


@checkpoints.command("list")
@click.option("--algorithm", metavar="NAME", help="Only checkpoints of this algorithm, in all major versions.")
@click.option("--training", "training_id", metavar="ID", help="Only checkpoints of this training.")
@click.option("-t", "--tag", "tags", multiple=True, help="Only checkpoints with this tag; repeat it for several.")
@place_options
@reporting_options
def list_checkpoints(
    algorithm: str | None, training_id: str | None, tags: tuple[str, ...], place: Place, screen: Screen
) -> None:
    """List the checkpoints, oldest first."""
    with place.engine(executor="inline") as engine:
        found = engine.checkpoints.list(positive_tags=tags, algorithm=algorithm, training_id=training_id)
        names = _names(engine) if found else {}
    if screen.as_json:
        screen.answer({"checkpoints": [record.model_dump(mode="json") for record in found]})
    elif found:
        rows = [describe_training.checkpoint_row(record, names) for record in found]
        screen.table(describe_training.CHECKPOINT_COLUMNS, rows, wrapping=3)
    elif algorithm or training_id or tags:
        screen.note("No checkpoint matches: leave out a filter.")
    else:
        screen.note("No checkpoints yet: train an algorithm with `compox-cli train NAME`.")


@checkpoints.command("show")
@click.argument("checkpoint_id", metavar="CHECKPOINT")
@place_options
@reporting_options
def show(checkpoint_id: str, place: Place, screen: Screen) -> None:
    """Show a checkpoint: where it comes from, its properties and its assets."""
    with place.engine(executor="inline") as engine:
        record = engine.checkpoints.get(checkpoint_id)
        names = _names(engine)
    if screen.as_json:
        screen.answer(record.model_dump(mode="json"))
        return
    screen.facts(record.checkpoint_id, describe_training.checkpoint_facts(record, names))
    screen.line("")
    screen.table(describe_training.ASSET_COLUMNS, describe_training.asset_rows(record), wrapping=1)


@checkpoints.command("remove")
@click.argument("checkpoint_ids", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@place_options
@reporting_options
@click.pass_obj
def remove(reporting: Reporting, checkpoint_ids: tuple[str, ...], yes: bool, place: Place, screen: Screen) -> int:
    """Remove checkpoints; contents that nothing else uses go with them.

    Where one cannot be removed the others still are, and the exit code is 1.
    """
    with place.engine(executor="inline") as engine:
        return remove_each(checkpoint_ids, "checkpoint", engine.checkpoints.delete, reporting, screen, yes=yes)


def _names(engine: Engine) -> dict[str, str]:
    return {record.algorithm_id: f"{record.name} {record.major}" for record in engine.algorithms.list()}

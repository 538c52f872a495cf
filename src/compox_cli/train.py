"""The command `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from compox_cli import describe_training
from compox_cli.options import parameter_option, place_options, reporting_options
from compox_cli.place import Place
from compox_cli.screen import Screen

PICTURES = (".png", ".svg", ".pdf")


def _picture(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in PICTURES:
        raise click.UsageError(f"--plot draws {', '.join(PICTURES)}: give the file one of these suffixes.")
    return path


@click.command()
@click.argument("algorithm", metavar="NAME")
@click.option("-s", "--sample", "samples", multiple=True, metavar="ID", help="Learn from it; repeat it for several.")
@click.option(
    "--tagged", multiple=True, metavar="TAG", help="Learn from every sample with this tag, and with all of several."
)
@parameter_option
@click.option("--checkpoint", metavar="ID", help="Go on from this checkpoint.")
@click.option("-t", "--tag", "tags", multiple=True, help="What its checkpoints are found by; repeat it for several.")
@click.option("--major", metavar="N", help="The major version; the highest where it is left out.")
@click.option("--minor", metavar="N", help="The minor version; the latest where it is left out.")
@click.option("--device", help="cpu, gpu, cuda:N or mps; the algorithm's default where it is left out.")
@click.option(
    "--timeout", "timeout_s", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
    help="End the training as failed when it takes longer; its checkpoints stay.",
)  # fmt: skip
@click.option(
    "--metrics", metavar="FILE.csv", type=click.Path(path_type=Path), help="Write the metric history here, as CSV."
)
@click.option(
    "--plot", metavar="FILE.png", type=click.Path(path_type=Path), callback=_picture,
    help="Draw the metric history here.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@place_options
@reporting_options
def train(place: Place, screen: Screen, **order: Any) -> None:
    """Train an algorithm on samples, and print the ids of the checkpoints that it saves, oldest first.

    Ctrl-C stops it; what it has saved by then stays, and `--checkpoint` goes on from there.
    """
    from compox_cli.training import TrainOrder, train

    if not order["samples"] and not order["tagged"]:
        raise click.UsageError("Say what it is to learn from: --sample ID, or --tagged TAG.")
    with place.engine() as engine:
        outcome = train(engine, TrainOrder(**order), screen)
    if screen.as_json:
        screen.answer(
            {
                "checkpoints": [checkpoint.model_dump(mode="json") for checkpoint in outcome.checkpoints],
                "training": outcome.record.model_dump(mode="json"),
                "written": [str(path) for path in outcome.written],
            }
        )
        return
    for checkpoint in outcome.checkpoints:
        screen.line(checkpoint.checkpoint_id)
    screen.note(describe_training.trained(outcome.record, outcome.latest))

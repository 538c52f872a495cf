"""`debug train`: a folder learns without being deployed."""

from __future__ import annotations

from pathlib import Path

import click

from compox_cli import describe_training
from compox_cli.options import parameter_option, reporting_options
from compox_cli.samples import group_arguments, read
from compox_cli.screen import Screen


@click.command("train")
@group_arguments
@click.option(
    "--algo", "folder", default=".", show_default=True, metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path), help="The folder of the algorithm.",
)  # fmt: skip
@click.option("--device", help="cpu, gpu, cuda:N or mps; the algorithm's default where it is left out.")
@click.option(
    "--out", default="debug_output", show_default=True, metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path), help="Where the metrics and the last checkpoint go.",
)  # fmt: skip
@parameter_option
@reporting_options
def debug_train(
    groups: list[dict[str, list[str]]],
    folder: Path,
    device: str | None,
    out: Path,
    parameters: dict[str, object],
    screen: Screen,
) -> None:
    """Train the folder of an algorithm without deploying it.

    It learns from one sample, written as for `samples create`. Files of an earlier training are replaced.
    """
    from compox_core.engine.debug_training import debug_training

    with screen.progress(folder.resolve().name, bar=False) as report:
        done = debug_training(folder, [read(groups)], device=device, out=out, parameters=parameters, progress=report)
    if screen.as_json:
        screen.answer(
            {
                "written": [str(path) for path in done.written],
                "checkpoints": [checkpoint.model_dump(mode="json") for checkpoint in done.checkpoints],
                "training": done.record.model_dump(mode="json"),
            }
        )
        return
    for path in done.written:
        screen.line(str(path))
    latest = {name: done.metrics.values(name)[-1] for name in done.metrics.names}
    screen.note(describe_training.trained(done.record, latest))

"""`export`: an algorithm as a zip that can be deployed anywhere."""

from __future__ import annotations

from pathlib import Path

import click

from compox_cli.new_files import check_new_file, written_whole
from compox_cli.options import place_options, reporting_options
from compox_cli.place import Place
from compox_cli.screen import Screen


@click.command()
@click.argument("name")
@click.option("--major", metavar="N", help="The major version; the highest where it is left out.")
@click.option("--minor", metavar="N", help="The minor version; the latest where it is left out.")
@click.option("--checkpoint", metavar="ID", help="Put what this checkpoint holds in place of what was deployed.")
@click.option(
    "-o", "--out", metavar="OUT.zip", type=click.Path(path_type=Path), help="The file. Default: NAME_MAJOR.zip here."
)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@place_options
@reporting_options
def export(
    name: str,
    major: str | None,
    minor: str | None,
    checkpoint: str | None,
    out: Path | None,
    overwrite: bool,
    place: Place,
    screen: Screen,
) -> None:
    """Write an algorithm as a zip that can be deployed elsewhere."""
    with place.engine(executor="inline") as engine:
        record = engine.algorithms.get(name, major)
        target = out or Path(f"{record.name}_{record.major}.zip")
        check_new_file(target, overwrite, "-o")
        with written_whole(target) as part:
            engine.algorithms.export(name, record.major, minor, checkpoint_id=checkpoint, target=part)
    if screen.as_json:
        screen.answer({"written": [str(target)], "name": record.name, "major": record.major})
    else:
        screen.line(str(target))

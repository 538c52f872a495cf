"""The commands: each parses, makes one call, and shapes the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from compox_cli import describe
from compox_cli.asking import be_sure
from compox_cli.bundle import bundle
from compox_cli.checkpoints import checkpoints
from compox_cli.debug_train import debug_train
from compox_cli.export import export
from compox_cli.gc import gc
from compox_cli.group import FAILED, CommandLine, Reporting, fail
from compox_cli.options import parameter_option, place_options, reporting_options
from compox_cli.place import Place
from compox_cli.samples import samples
from compox_cli.screen import Screen
from compox_cli.train import train
from compox_cli.worker import worker
from compox_core.errors import CompoxError

EXISTING = click.Path(exists=True, path_type=Path)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="compox-core", message="%(version)s")
def compox_cli() -> None:
    """Deploy imaging algorithms, train and run them on image files, and try them while you write them.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """


@compox_cli.command()
@click.argument("paths", nargs=-1, required=True, type=EXISTING)
@click.option("--name", help="A name in place of that in pyproject.toml.")
@click.option("--major", metavar="N", help="A major version in place of that in pyproject.toml.")
@click.option("--removable/--not-removable", default=None, help="Whether clients may remove it.")
@click.option("--exportable/--not-exportable", default=None, help="Whether clients may export it.")
@place_options
@reporting_options
@click.pass_obj
def deploy(
    reporting: Reporting,
    paths: tuple[Path, ...],
    name: str | None,
    major: str | None,
    removable: bool | None,
    exportable: bool | None,
    place: Place,
    screen: Screen,
) -> int:
    """Deploy algorithms from their folders or zips.

    The same content again changes nothing; other content becomes the next minor version. Where one PATH cannot be
    deployed the others still are, and the exit code is 1.
    """
    if name is not None and len(paths) > 1:
        raise click.UsageError("--name gives one name: deploy one PATH with it.")
    done, failed = [], []
    with place.engine(create=True) as engine:
        for path in paths:
            try:
                deployed = engine.deploy(path, name=name, major=major, removable=removable, exportable=exportable)
            except CompoxError as error:
                failed.append({"path": str(path), **fail(reporting, error, where=str(path))})
            else:
                done.append(describe.deployed_facts(deployed))
                if not screen.as_json:
                    screen.line(describe.deployed(deployed))
    if screen.as_json:
        screen.answer({"deployed": done, "failed": failed})
    return FAILED if failed else 0


@compox_cli.command("list")
@click.option("--tag", "tags", multiple=True, help="Only algorithms with this tag; repeat it for several.")
@click.option("--type", "algorithm_type", help="Only algorithms of this type, such as Image2Image.")
@click.option("--device", "devices", multiple=True, help="Only algorithms that support this device.")
@place_options
@reporting_options
def list_algorithms(
    tags: tuple[str, ...], algorithm_type: str | None, devices: tuple[str, ...], place: Place, screen: Screen
) -> None:
    """List the deployed algorithms."""
    with place.engine() as engine:
        records = engine.algorithms.list(positive_tags=tags, algorithm_type=algorithm_type, supported_devices=devices)
    if screen.as_json:
        screen.answer({"algorithms": [record.model_dump(mode="json") for record in records]})
    elif records:
        screen.table(describe.LIST_COLUMNS, [describe.list_row(record) for record in records], wrapping=1)
    elif tags or algorithm_type or devices:
        screen.note("No algorithm matches: leave out a filter.")
    else:
        screen.note("No algorithms yet: deploy one with `compox-cli deploy PATH`.")


@compox_cli.command()
@click.argument("name")
@click.option("--major", metavar="N", help="The major version; the highest where it is left out.")
@place_options
@reporting_options
def show(name: str, major: str | None, place: Place, screen: Screen) -> None:
    """Show an algorithm: its parameters, versions, size and tags."""
    with place.engine() as engine:
        record = engine.algorithms.get(name, major)
    if screen.as_json:
        screen.answer(record.model_dump(mode="json"))
        return
    screen.facts(f"{record.name} {describe.version(record)}", describe.facts(record))
    rows = [describe.parameter_row(parameter) for parameter in record.metadata.additional_parameters]
    screen.line("")
    if rows:
        screen.table(describe.PARAMETER_COLUMNS, rows, wrapping=2)
    else:
        screen.line("It declares no parameters.")


@compox_cli.command()
@click.argument("algorithm", metavar="NAME")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=EXISTING)
@parameter_option
@click.option(
    "-o", "--out", metavar="OUT", type=click.Path(path_type=Path),
    help="A file, whose suffix decides the format, or a folder. Default: <input>_<name>.tif (.h5) here.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace output files that exist.")
@click.option("--major", metavar="N", help="The major version; the highest where it is left out.")
@click.option("--minor", metavar="N", help="The minor version; the latest where it is left out.")
@click.option("--checkpoint", metavar="ID", help="Run what this checkpoint holds in place of what was deployed.")
@click.option("--device", help="cpu, gpu, cuda:N or mps; the algorithm's default where it is left out.")
@click.option(
    "--timeout", "timeout_s", metavar="SECONDS", type=click.FloatRange(0, min_open=True),
    help="End the run as failed when it takes longer.",
)  # fmt: skip
@place_options
@reporting_options
def run(place: Place, screen: Screen, **order: Any) -> None:
    """Run an algorithm on image files and write what comes out.

    An INPUT is a TIFF, PNG, JPEG, NPY or HDF5 file, or a folder of image files; several of them form one set of
    inputs. The files that were written are printed, one a line.
    """
    from compox_cli.running import RunOrder, run

    with place.engine() as engine:
        outcome = run(engine, RunOrder(**order), screen)
    if screen.as_json:
        screen.answer(describe.outcome_facts(outcome.record, outcome.written, outcome.left_out))
        return
    for path in outcome.written:
        screen.line(str(path))
    screen.note(describe.outcome(outcome.record, outcome.left_out))


@compox_cli.command()
@click.argument("name")
@click.option("--major", metavar="N", help="The major version; the highest where it is left out.")
@click.option("--minor", metavar="N", help="Remove this minor version only.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Do not ask, and remove it even where it is not removable.")
@place_options
@reporting_options
def remove(
    name: str, major: str | None, minor: str | None, yes: bool, force: bool, place: Place, screen: Screen
) -> None:
    """Remove an algorithm, or one minor version of it.

    Contents that no other algorithm uses go with it. Version numbers are never given again.
    """
    with place.engine() as engine:
        record = engine.algorithms.get(name, major)
        what = f"{record.name} {record.major}" + ("" if minor is None else f".{minor}")
        if not (yes or force):
            be_sure(f"Remove {what}?", screen)
        engine.algorithms.remove(name, record.major, minor, force=force)
    if screen.as_json:
        screen.answer({"removed": {"name": record.name, "major": record.major, "minor": minor}})
    else:
        screen.line(f"Removed {what}.")


@compox_cli.group(cls=click.Group)
def debug() -> None:
    """Try an algorithm while you write it."""


@debug.command("run")
@click.option(
    "--algo", "folder", default=".", show_default=True, metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path), help="The folder of the algorithm.",
)  # fmt: skip
@click.option("--data", required=True, metavar="PATH", type=EXISTING, help="An image file, or a folder of them.")
@click.option("--device", help="cpu, gpu, cuda:N or mps; the algorithm's default where it is left out.")
@click.option(
    "--out", default="debug_output", show_default=True, metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path), help="Where the outputs and debug.png go.",
)  # fmt: skip
@parameter_option
@reporting_options
def debug_run(
    folder: Path, data: Path, device: str | None, out: Path, parameters: dict[str, object], screen: Screen
) -> None:
    """Run the folder of an algorithm without deploying it.

    Imports, checks and defaults are those of a deployed algorithm. Files of an earlier run are replaced.
    """
    from compox_core.engine.debug import PICTURE_NAME, debug_folder
    from compox_core.engine.saving import left_out

    with screen.progress(folder.resolve().name, bar=False) as report:
        done = debug_folder(folder, data, device=device, out=out, parameters=parameters, progress=report)
    missing = left_out(done.result.outputs, [path for path in done.written if path.name != PICTURE_NAME])
    if screen.as_json:
        screen.answer(describe.outcome_facts(done.record, done.written, missing))
        return
    for path in done.written:
        screen.line(str(path))
    screen.note(describe.outcome(done.record, missing))


debug.add_command(debug_train)
for command in (samples, train, checkpoints, export, bundle, worker, gc):
    compox_cli.add_command(command)

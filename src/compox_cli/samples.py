"""`samples`: what trainings learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from compox_cli import describe, describe_training
from compox_cli.group import Reporting
from compox_cli.options import place_options, reporting_options
from compox_cli.place import Place
from compox_cli.removing import remove_each
from compox_cli.screen import Screen

NEXT_GROUP = "+"
AS_MASK = ":mask"
MASKS = "Segmentation2Segmentation"


@click.group(cls=click.Group)
def samples() -> None:
    """Keep what trainings learn from."""


def _groups(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> list[dict[str, list[str]]]:
    """Return `input=a target=b + input=c target=d` as two groups; a key that comes again adds a file."""
    groups: list[dict[str, list[str]]] = [{}]
    for word in words:
        if word == NEXT_GROUP:
            groups.append({})
            continue
        key, equals, value = word.partition("=")
        if not key.removesuffix(AS_MASK) or not equals or not value:
            raise click.UsageError(f"'{word}' is no file of a sample: write KEY=PATH, for example input=cell.tif.")
        groups[-1].setdefault(key, []).append(value)
    if not all(groups):
        raise click.UsageError(f"A '{NEXT_GROUP}' stands between two groups of files: there is an empty one.")
    return groups


group_arguments = click.argument("groups", nargs=-1, required=True, metavar="KEY=FILE...", callback=_groups)
"""The command gets `groups`, a list of dicts with lists of texts; see `read`."""


def read(groups: Sequence[dict[str, list[str]]]) -> list[dict[str, list[Any]]]:
    """Return groups as `engine.samples.create` takes them: what was named with `:mask` is read as masks.

    Raises DataError, NotFoundError.
    """
    from compox_core.engine.arranging import arrange_inputs

    found: list[dict[str, list[Any]]] = []
    for group in groups:
        found.append({})
        for name, files in group.items():
            masks = name.endswith(AS_MASK)
            items = [item for file in files for item in arrange_inputs(file, MASKS).items] if masks else files
            found[-1].setdefault(name.removesuffix(AS_MASK) if masks else name, []).extend(items)
    return found


@samples.command("create")
@group_arguments
@click.option("-t", "--tag", "tags", multiple=True, help="A word to find it by; repeat it for several.")
@place_options
@reporting_options
def create(groups: list[dict[str, list[str]]], tags: tuple[str, ...], place: Place, screen: Screen) -> None:
    """Store a sample: files that belong together, each under a key of your choice.

    A FILE is an image file, a folder of them, or the id of a stored file. Pictures are stored as images, and as masks
    where their key is followed by :mask. A key that comes again adds a file to it. A lone + begins the next group of
    files; all groups have the same keys:

      compox-cli samples create input=a.tif target:mask=a_mask.tif + input=b.tif target:mask=b_mask.tif
    """
    with place.engine(create=True, executor="inline") as engine:
        made = engine.samples.create(read(groups), tags)
    if screen.as_json:
        screen.answer(made.model_dump(mode="json"))
        return
    screen.line(made.sample_id)
    screen.note(
        f"{describe.count(len(made.file_ids), 'file')} in {describe.count(len(made.files), 'group')}, which no "
        "expiry takes as long as the sample is there."
    )


@samples.command("list")
@click.option("-t", "--tag", "tags", multiple=True, help="Only samples with this tag; repeat it for several.")
@click.option("--without", multiple=True, metavar="TAG", help="Only samples without this tag; repeat it for several.")
@place_options
@reporting_options
def list_samples(tags: tuple[str, ...], without: tuple[str, ...], place: Place, screen: Screen) -> None:
    """List the samples, oldest first."""
    with place.engine(executor="inline") as engine:
        found = engine.samples.list(tags, without)
    if screen.as_json:
        screen.answer({"samples": [sample.model_dump(mode="json") for sample in found]})
    elif found:
        rows = [describe_training.sample_row(sample) for sample in found]
        screen.table(describe_training.SAMPLE_COLUMNS, rows, wrapping=2)
    elif tags or without:
        screen.note("No sample matches: leave out a filter.")
    else:
        screen.note("No samples yet: make one with `compox-cli samples create KEY=FILE...`.")


@samples.command("show")
@click.argument("sample_id", metavar="SAMPLE")
@place_options
@reporting_options
def show(sample_id: str, place: Place, screen: Screen) -> None:
    """Show a sample: its groups of files, and which of these are gone."""
    with place.engine(executor="inline") as engine:
        sample = engine.samples.get(sample_id)
        missing = engine.samples.missing_files(sample)
    if screen.as_json:
        screen.answer(describe_training.sample_answer(sample, missing))
        return
    screen.facts(sample.sample_id, describe_training.sample_facts(sample, missing))
    screen.line("")
    screen.table(describe_training.GROUP_COLUMNS, describe_training.group_rows(sample, missing), wrapping=1)


@samples.command("remove")
@click.argument("sample_ids", nargs=-1, required=True, metavar="SAMPLE...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@place_options
@reporting_options
@click.pass_obj
def remove(reporting: Reporting, sample_ids: tuple[str, ...], yes: bool, place: Place, screen: Screen) -> int:
    """Remove samples; their files stay until they expire.

    Where one cannot be removed the others still are, and the exit code is 1.
    """
    with place.engine(executor="inline") as engine:
        return remove_each(sample_ids, "sample", engine.samples.delete, reporting, screen, yes=yes)

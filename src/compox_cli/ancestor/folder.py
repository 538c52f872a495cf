"""`deploy-algorithms`: a folder of algorithms, straight to the store."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compox_cli import describe
from compox_cli.ancestor.options import DOTTED, settings_options
from compox_cli.group import FAILED, Reporting, fail
from compox_cli.messages import shown_messages
from compox_cli.screen import Screen
from compox_core.errors import CompoxError, NotFoundError

if TYPE_CHECKING:
    from compox_core.engine import Engine
    from compox_core.settings import Settings

SKIPPED = "algorithm_template"
PARTS = ("pyproject.toml", "Runner.py", "Runner.pyc")
"""A folder that holds any of them is meant to be an algorithm."""


@click.command("deploy-algorithms", context_settings=DOTTED)
@settings_options
@click.option(
    "--path", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the algorithms' folders, in place of the setting deploy_algorithms_from.",
)  # fmt: skip
@click.option("-n", "--name", "names", multiple=True, metavar="FOLDER", help="Only this subfolder; repeat for several.")
@click.option("--delete-existing", is_flag=True, help="Remove the earlier minor versions of what is deployed.")
@click.option("--verbose/--no-verbose", default=True, show_default=True, help="Tell what is deployed.")
@click.pass_obj
def deploy_algorithms(
    reporting: Reporting, settings: Settings, path: Path | None, names: Sequence[str], delete_existing: bool,
    verbose: bool,
) -> int:  # fmt: skip
    """Deploy every algorithm in the subfolders of a folder, straight to the store.

    Servers on the same store see them at once. The subfolder algorithm_template is left out unless it is named. Where
    one cannot be deployed the others still are, and the exit code is 1.
    """
    from compox_core.engine import Engine

    top = Path(settings.deploy_algorithms_from) if path is None else path
    folders = _named(top, names) if names else _all(top)
    screen = Screen()
    if not folders:
        screen.note(f"There is no algorithm in the subfolders of '{top}'.")
    failed = 0
    with shown_messages(screen), Engine(settings, executor="inline") as engine:
        for folder in folders:
            try:
                told = _deploy(engine, folder, delete_existing)
            except CompoxError as error:
                fail(reporting, error, where=str(folder))
                failed += 1
            else:
                if verbose:
                    screen.line(told)
    return FAILED if failed else 0


def _deploy(engine: Engine, folder: Path, replace: bool) -> str:
    """Deploy a folder and return what there is to tell.

    What is replaced goes last: until the new version is there the old ones serve, and stay where it cannot be deployed.
    """
    done = engine.deploy(folder)
    earlier = [minor for minor in done.record.minors if minor < done.version.minor] if replace else []
    for minor in earlier:
        with suppress(NotFoundError):  # somebody else has removed it meanwhile
            engine.algorithms.remove(done.record.name, done.record.major, minor, force=True)
    told = describe.deployed(done)
    return told if not earlier else f"{told} (removed {', '.join(f'{done.version.major}.{each}' for each in earlier)})"


def _all(top: Path) -> list[Path]:
    """Return the subfolders that hold algorithms, sorted by name."""
    return [
        folder
        for folder in sorted(_subfolders(top))
        if folder.name != SKIPPED and any((folder / part).exists() for part in PARTS)
    ]


def _named(top: Path, names: Sequence[str]) -> list[Path]:
    """Return the subfolders of these names, each once. Raises NotFoundError, before anything is deployed."""
    there = {folder.name: folder for folder in _subfolders(top)}
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sorted(there)) or 'none'}."
            raise NotFoundError(
                f"There is no folder '{name}' in '{top}' (--name names subfolders): {hint}",
                code="deploy_path_not_found",
                details={"path": str(top / name)},
            )
    return [there[name] for name in dict.fromkeys(names)]


def _subfolders(top: Path) -> list[Path]:
    try:
        return [entry for entry in top.iterdir() if entry.is_dir()]
    except OSError as error:
        raise NotFoundError(
            f"The folder of algorithms '{top}' cannot be read ({error.strerror}): set deploy_algorithms_from, or name "
            "another by --path.",
            code="deploy_path_not_found",
            details={"path": str(top)},
        ) from error

"""`bundle`: algorithms in encrypted files, built, looked into and imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compox_cli import describe_bundle
from compox_cli.bundle_key import key
from compox_cli.bundle_keys import EXISTING, Keys, key_options, lock_options, signing_key, trust_option
from compox_cli.describe import count, size
from compox_cli.new_files import check_new_file
from compox_cli.options import place_options, reporting_options
from compox_cli.place import Place
from compox_cli.screen import Report, Screen

if TYPE_CHECKING:
    from compox_core.bundle.keys import Signer

bundle_argument = click.argument("path", metavar="BUNDLE", type=EXISTING)
"""The command gets `path`."""


@click.group(cls=click.Group)
def bundle() -> None:
    """Ship algorithms in encrypted files.

    A bundle is built for a key, a passphrase or recipients, and may be signed. Keys are taken from a file, the
    environment (COMPOX_BUNDLE_KEY, COMPOX_BUNDLE_PASSPHRASE) or a hidden prompt.
    """


bundle.add_command(key)


def _renames(_: click.Context, __: click.Parameter, words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        old, equals, new = word.partition("=")
        if not old or not equals or not new:
            raise click.UsageError(f"'{word}' renames nothing: write --rename OLD=NEW.")
        if found.setdefault(old, new) != new:
            raise click.UsageError(f"--rename gives '{old}' two names.")
    return found


rename_option = click.option(
    "--rename", multiple=True, metavar="OLD=NEW", callback=_renames,
    help="Give an algorithm of the bundle another name here; repeat it for several.",
)  # fmt: skip


@bundle.command("build")
@click.argument("path", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "-a", "--algorithm", "algorithms", multiple=True, metavar="NAME[:MAJOR][@MINOR]",
    help="Only this algorithm, or this minor version of it; repeat it for several. Default: all.",
)  # fmt: skip
@click.option("--include-unexportable", is_flag=True, help="Take along algorithms that may not be exported.")
@lock_options
@click.option("--sign-with", metavar="FILE", type=EXISTING, help="Sign it with the signing key in this file.")
@click.option(
    "--format", "version", type=click.Choice(["1", "2"]), default="2", show_default=True,
    help="1 is that of compox 3.2: for one key, and without a signature.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@place_options
@reporting_options
def build(
    path: Path,
    algorithms: Sequence[str],
    include_unexportable: bool,
    keys: Keys,
    sign_with: Path | None,
    version: str,
    overwrite: bool,
    place: Place,
    screen: Screen,
) -> None:
    """Write algorithms with their checkpoints into an encrypted file.

    BUNDLE appears when it is whole. Every key, passphrase and recipient that is given opens it.
    """
    check_new_file(path, overwrite, "BUNDLE")
    signs, locks = signing_key(sign_with), keys.locks(screen)
    with place.engine(executor="inline") as engine, screen.progress(path.name) as report:
        built = engine.bundles.build(
            path,
            algorithms or None,
            key=locks,
            format=int(version),
            signing_key=signs,
            include_unexportable=include_unexportable,
            replace=overwrite,
            progress=by_bytes(report),
        )
    for note in built.notes:
        screen.warn(note)
    names = describe_bundle.algorithm_names(built.snapshot)
    if screen.as_json:
        screen.answer(
            {
                "written": str(path),
                "size": built.size,
                "format": int(version),
                "algorithms": names,
                "notes": built.notes,
            }
        )
        return
    screen.line(str(path))
    screen.note(f"{count(len(names), 'algorithm')}, {size(built.size)}.")


@bundle.command("inspect")
@bundle_argument
@key_options
@trust_option
@reporting_options
def inspect(path: Path, keys: Keys, trusted: list[Signer] | None, screen: Screen) -> None:
    """Show what is in a bundle: with its key everything, without it what it tells to everybody."""
    from compox_core.bundle.opening import inspect_bundle

    unlocks = keys.unlocks_if_given(screen)
    if trusted and not unlocks:
        unlocks = keys.unlocks(path, screen)
    info = inspect_bundle(path, unlocks, trusted_signers=trusted)
    if screen.as_json:
        screen.answer(info.model_dump(mode="json"))
        return
    screen.facts(str(path), describe_bundle.facts(info))
    if info.snapshot is None:
        screen.note("With its key (--key-file) there is more to tell.")
        return
    screen.line("")
    screen.table(describe_bundle.ALGORITHM_COLUMNS, describe_bundle.algorithm_rows(info.snapshot), wrapping=2)


@bundle.command("verify")
@bundle_argument
@key_options
@trust_option
@reporting_options
def verify(path: Path, keys: Keys, trusted: list[Signer] | None, screen: Screen) -> None:
    """Read all of a bundle, and say whether it is as it was built."""
    from compox_core.bundle.opening import open_bundle

    unlocks = keys.unlocks(path, screen)
    with open_bundle(path, unlocks, trusted_signers=trusted) as opened, screen.progress(path.name) as report:
        opened.verify(by_bytes(report))
    signer = getattr(opened, "signer", None)
    signed = None if signer is None else signer.text()
    if screen.as_json:
        names = describe_bundle.algorithm_names(opened.snapshot)
        screen.answer({"path": str(path), "whole": True, "signer": signed, "algorithms": names})
        return
    number = count(len(opened.snapshot.algorithms), "algorithm")
    screen.line(f"{path} is whole: {number}, {f'signed by {signed}' if signed else 'not signed'}.")


@bundle.command("import")
@bundle_argument
@key_options
@trust_option
@rename_option
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would be changed.")
@place_options
@reporting_options
def import_(
    path: Path,
    keys: Keys,
    trusted: list[Signer] | None,
    rename: dict[str, str],
    dry_run: bool,
    place: Place,
    screen: Screen,
) -> None:
    """Bring the algorithms of a bundle into a store.

    An algorithm that is not there comes with all its minor versions. Of one that is, the latest comes as the next minor
    version, unless it is the latest there already. The same again changes nothing. --trust goes before
    storage.trusted_signers of the configuration.
    """
    unlocks = keys.unlocks(path, screen)
    with place.engine(create=not dry_run, executor="inline") as engine:
        if dry_run:
            plan = engine.bundles.plan(path, key=unlocks, rename=rename, trusted_signers=trusted)
            if screen.as_json:
                screen.answer({"dry_run": True, "changes": plan.changes, **plan.model_dump(mode="json")})
            else:
                screen.line("\n".join(describe_bundle.plan_lines(plan)))
            return
        with screen.progress(path.name) as report:
            done = engine.bundles.import_(
                path, key=unlocks, rename=rename, trusted_signers=trusted, progress=by_bytes(report)
            )
    if screen.as_json:
        screen.answer({"dry_run": False, "changes": done.changes, **done.model_dump(mode="json")})
    else:
        screen.line("\n".join(describe_bundle.report_lines(done)))


@bundle.command("diff")
@bundle_argument
@key_options
@trust_option
@rename_option
@place_options
@reporting_options
def diff(
    path: Path, keys: Keys, trusted: list[Signer] | None, rename: dict[str, str], place: Place, screen: Screen
) -> None:
    """Show how the latest versions in a bundle and in a store differ."""
    unlocks = keys.unlocks(path, screen)
    with place.engine(executor="inline") as engine:
        found = engine.bundles.diff(path, key=unlocks, rename=rename, trusted_signers=trusted)
    if screen.as_json:
        screen.answer({"same": found.same, **found.model_dump(mode="json")})
        return
    screen.table(
        describe_bundle.DIFF_COLUMNS, [describe_bundle.diff_row(each) for each in found.algorithms], wrapping=1
    )


def by_bytes(report: Report) -> Callable[[int, int], None]:
    """Return what shows a progress that is counted in bytes."""

    def show(done: int, total: int) -> None:
        report(done / total if total else 1.0, f"{size(done)} of {size(total)}")

    return show

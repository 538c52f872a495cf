"""The commands of algorithm bundles by the names of compox 3.2; `compox-cli bundle` has more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from compox_cli.bundle import by_bytes
from compox_cli.bundle_keys import EXISTING, KEY_VARIABLE, Keys, warn_of_key
from compox_cli.messages import shown_messages
from compox_cli.new_files import check_new_file
from compox_cli.screen import Screen
from compox_core.errors import SettingsError

if TYPE_CHECKING:
    from compox_core.bundle.keys import BundleKey, Unlock
    from compox_core.bundle.snapshot import Snapshot
    from compox_core.bundle.v1.manifest import Manifest
    from compox_core.engine import Engine
    from compox_core.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

KEY_HELP = "The key of the bundle, as generate-algorithm-bundle-key makes it"
config_option = click.option("--config", required=True, metavar="FILE", type=EXISTING, help="The YAML configuration.")
"""The command gets `config`."""


@click.command("generate-algorithm-bundle-key")
def generate_key() -> None:
    """Print a new key for bundles: 32 random bytes as url-safe base64, 43 characters."""
    from compox_core.bundle.keys import BundleKey

    click.echo(BundleKey.generate().text())


@click.command("build-algorithm-bundle")
@config_option
@click.option(
    "--output", default="compox_algorithm_bundle.zip", show_default=True, metavar="FILE",
    type=click.Path(path_type=Path), help="The bundle. A file of that name is replaced.",
)  # fmt: skip
@click.option("--key", envvar=KEY_VARIABLE, show_envvar=True, help=f"{KEY_HELP}. Default: a new one, which is printed.")
@click.option(
    "--format", "version", type=click.Choice(["1", "2"]), default="1", show_default=True,
    help="1 is that of compox 3.2; 2 is ours, which tells nothing without the key.",
)  # fmt: skip
@click.option("--include-unexportable", is_flag=True, help="Take along algorithms that may not be exported.")
@click.pass_context
def build_bundle(
    context: click.Context, config: Path, output: Path, key: str | None, version: str, include_unexportable: bool
) -> None:
    """Write the algorithms of a store to an encrypted bundle.

    Algorithms that may not be exported are left out, and it is said of which.
    """
    screen = Screen()
    _warn(context, screen)
    check_new_file(output, True, "--output")
    lock, shown = _key_of(key)
    with shown_messages(screen), _engine(_settings(config)) as engine, screen.progress(output.name) as report:
        built = engine.bundles.build(
            output,
            key=lock,
            format=int(version),
            include_unexportable=include_unexportable,
            replace=True,
            progress=by_bytes(report),
        )
    for note in built.notes:
        screen.warn(note)
    if shown:
        screen.line(f"New key: {shown}")
    screen.line(f"Bundle: {output}")
    screen.line(f"Objects: {sum(_counts(output, built.snapshot).values())}")


@click.command("inspect-algorithm-bundle")
@click.option("--bundle-path", required=True, metavar="FILE", type=EXISTING, help="The bundle.")
@click.option("--key", required=True, envvar=KEY_VARIABLE, show_envvar=True, help=f"{KEY_HELP}.")
@click.pass_context
def inspect_bundle(context: click.Context, bundle_path: Path, key: str) -> None:
    """Show how many objects a bundle holds, as JSON."""
    from compox_core.bundle.opening import open_bundle
    from compox_core.bundle.v1.manifest import ENCRYPTION, FORMAT
    from compox_core.bundle.v1.reader import V1Source

    screen = Screen()
    _warn(context, screen)
    with open_bundle(bundle_path, _unlocks(key)) as bundle:
        theirs = isinstance(bundle, V1Source)
        metadata = _their_metadata(bundle.manifest) if isinstance(bundle, V1Source) else _metadata(bundle.snapshot)
    counts = _counts(bundle_path, bundle.snapshot)
    told = {
        "bundle_path": str(bundle_path),
        "collections": sorted(counts),
        "encryption": ENCRYPTION if theirs else "aesgcm-stream",
        "format": FORMAT if theirs else "compox-bundle/v2",
        "metadata": metadata,
        "object_count": sum(counts.values()),
        "object_counts_by_collection": counts,
    }
    screen.line(json.dumps(told, indent=4, sort_keys=True))


@click.command("import-algorithm-bundle")
@config_option
@click.option(
    "--bundle-path", metavar="FILE", type=EXISTING,
    help="The bundle, of either format. Default: storage.builtin_storage_bundle_path.",
)  # fmt: skip
@click.option(
    "--key", envvar=KEY_VARIABLE, show_envvar=True, help=f"{KEY_HELP}. Default: storage.builtin_storage_bundle_key."
)
@click.pass_context
def import_bundle(context: click.Context, config: Path, bundle_path: Path | None, key: str | None) -> None:
    """Add the algorithms of a bundle to a store; what is there already is not added again."""
    from compox_core.engine.builtin_bundle import settings_unlocks
    from compox_core.settings.locations import resolve_path

    screen = Screen()
    _warn(context, screen)
    settings = _settings(config)
    path = bundle_path or resolve_path(settings, "storage.builtin_storage_bundle_path")
    if path is None:
        raise SettingsError(
            f"No bundle is named: give --bundle-path, or set storage.builtin_storage_bundle_path in '{config}'.",
            code="bundle_not_named",
        )
    unlocks = _unlocks(key) if key else settings_unlocks(settings) or Keys().unlocks(path, screen)
    with shown_messages(screen), _engine(settings) as engine, screen.progress(path.name) as report:
        done = engine.bundles.import_(path, key=unlocks, progress=by_bytes(report))
    screen.note(str(done))
    screen.line("The import is completed.")


def _engine(settings: Settings) -> Engine:
    from compox_core.engine import Engine

    return Engine(settings, executor="inline")


def _settings(config: Path) -> Settings:
    from compox_cli.ancestor.options import settings_of

    return settings_of(config, ())


def _warn(context: click.Context, screen: Screen) -> None:
    if context.get_parameter_source("key") is ParameterSource.COMMANDLINE:
        warn_of_key(screen, f"set {KEY_VARIABLE} in place of --key")


def _key_of(text: str | None) -> tuple[BundleKey, str | None]:
    """Return the key of a text, or a new one and what to print of it."""
    from compox_core.bundle.keys import BundleKey

    if text:
        return BundleKey.parse(text), None
    made = BundleKey.generate()
    return made, made.text()


def _unlocks(text: str) -> list[Unlock]:
    from compox_core.bundle.keys import parse_unlock

    return [parse_unlock(text)]


def _counts(path: Path, snapshot: Snapshot) -> dict[str, int]:
    """Return how many objects a bundle has in each of its collections, the empty ones, too."""
    from compox_core.bundle.container import bundle_version
    from compox_core.bundle.v1.manifest import COLLECTIONS
    from compox_core.bundle.v1.reader import outline_v1
    from compox_core.storage.collections import ALGORITHMS, CHECKPOINTS

    if bundle_version(path) == 1:
        found = Counter(entry.collection for entry in outline_v1(path).objects)
    else:
        found = Counter(content.collection for content in snapshot.contents())
        found[ALGORITHMS] = len(snapshot.algorithms)
        found[CHECKPOINTS] = sum(len(each.checkpoints) for each in snapshot.algorithms)
    return {name: found[name] for name in sorted({*COLLECTIONS, *found})}


def _metadata(snapshot: Snapshot) -> dict[str, str]:
    from compox_core.bundle.v1.manifest import KIND

    return {
        "bundle_kind": KIND,
        "compox_version": snapshot.made_by,
        "created_at": snapshot.created.isoformat(),
    }


def _their_metadata(manifest: Manifest) -> dict[str, str]:
    found = manifest.metadata.model_dump(exclude_none=True) if manifest.metadata else {}
    if manifest.metadata and manifest.metadata.created_at:
        found["created_at"] = manifest.metadata.created_at.isoformat()
    return found

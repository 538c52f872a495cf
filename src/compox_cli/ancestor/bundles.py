"""The commands of algorithm bundles: encrypted files with the algorithms of a store."""

from __future__ import annotations

import secrets
from typing import Any, NoReturn

import click

from compox_core.errors import StateError

KEY_BYTES = 32
KEY_HELP = "The key of the bundle, as generate-algorithm-bundle-key makes it."


@click.command("generate-algorithm-bundle-key")
def generate_key() -> None:
    """Print a new key for bundles: 32 random bytes as url-safe base64, 43 characters."""
    click.echo(secrets.token_urlsafe(KEY_BYTES))


@click.command("build-algorithm-bundle")
@click.option("--config", required=True, metavar="FILE", help="The YAML configuration of the store.")
@click.option("--output", default="compox_algorithm_bundle.zip", show_default=True, metavar="FILE", help="The bundle.")
@click.option("--key", help=f"{KEY_HELP} Default: a new one, which is printed.")
def build_bundle(**_: Any) -> None:
    """Write the algorithms of a store to an encrypted bundle."""
    _not_yet()


@click.command("inspect-algorithm-bundle")
@click.option("--bundle-path", required=True, metavar="FILE", help="The bundle.")
@click.option("--key", required=True, help=KEY_HELP)
def inspect_bundle(**_: Any) -> None:
    """Show what a bundle holds."""
    _not_yet()


@click.command("import-algorithm-bundle")
@click.option("--config", required=True, metavar="FILE", help="The YAML configuration of the store.")
@click.option("--bundle-path", metavar="FILE", help="The bundle, in place of that of the configuration.")
@click.option("--key", help=f"{KEY_HELP} Default: that of the configuration.")
def import_bundle(**_: Any) -> None:
    """Add the algorithms of a bundle to a store."""
    _not_yet()


def _not_yet() -> NoReturn:
    raise StateError(
        "This version cannot read or write bundles yet: take each algorithm out by `compox export-algorithm`, and "
        "deploy its zip by `compox-cli deploy` or `compox deploy-local`.",
        code="bundles_unavailable",
    )

"""The group of the command `compox`."""

from __future__ import annotations

import click

from compox_cli.ancestor.bundles import build_bundle, generate_key, import_bundle, inspect_bundle
from compox_cli.ancestor.configuration import generate_config
from compox_cli.ancestor.documentation import serve_docs
from compox_cli.ancestor.folder import deploy_algorithms
from compox_cli.ancestor.remote import delete_algorithm, deploy_local, export_algorithm
from compox_cli.ancestor.server import run, spawn_worker
from compox_cli.ancestor.testing import test
from compox_cli.commands import debug, deploy, list_algorithms, remove, show
from compox_cli.group import CommandLine


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="compox-core", message="%(version)s")
def compox() -> None:
    """Call commands by the names that scripts of compox 3.2 use; `compox-cli` has more.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """


for command in (
    *(run, spawn_worker),
    *(deploy_algorithms, deploy_local, delete_algorithm, export_algorithm),
    *(generate_config, generate_key, build_bundle, inspect_bundle, import_bundle),
    *(debug, test, serve_docs),
    *(deploy, list_algorithms, show, remove),
):
    compox.add_command(command)

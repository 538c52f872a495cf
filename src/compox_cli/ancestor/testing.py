"""`test`: runs pytest against a configuration or a server."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from compox_core.errors import MissingExtraError


@click.command("test")
@click.option(
    "--config", default="test_server.yaml", show_default=True, metavar="FILE", type=click.Path(path_type=Path),
    help="The YAML configuration that the tests take.",
)  # fmt: skip
@click.option(
    "--test-path", default="../compox/tests", show_default=True, metavar="PATH",
    type=click.Path(exists=True, path_type=Path), help="The tests.",
)  # fmt: skip
@click.option("--server-url", metavar="URL", help="Test the server that runs there; the tests take no configuration.")
@click.option("--junit-xml", metavar="FILE", help="Write the results as JUnit XML, too.")
def test(config: Path, test_path: Path, server_url: str | None, junit_xml: str | None) -> int:
    """Run tests that take --compox_config_path or --compox_url; the exit code is pytest's."""
    if server_url is None and not config.is_file():
        raise click.UsageError(f"There is no file '{config}': name one by --config, or a server by --server-url.")
    if importlib.util.find_spec("pytest") is None:
        raise MissingExtraError(
            "The tests need pytest: run pip install pytest.", code="pytest_missing", details={"package": "pytest"}
        )
    aim = f"--compox_config_path={config}" if server_url is None else f"--compox_url={server_url}"
    words = [str(test_path), aim] + ([] if junit_xml is None else [f"--junit-xml={junit_xml}"])
    return subprocess.run([sys.executable, "-m", "pytest", *words]).returncode

"""`generate-config`: a configuration file to begin with."""

from __future__ import annotations

import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import click

from compox_cli.ancestor.options import DOTTED, settings_of
from compox_cli.group import FAILED
from compox_core.errors import ConflictError, StorageError


@click.command("generate-config", context_settings=DOTTED)
@click.option(
    "--path", default="compox_config.yaml", show_default=True, metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path), help="The file to write.",
)  # fmt: skip
@click.option("--overwrite/--no-overwrite", default=None, help="Replace a file that exists, or keep it. Default: ask.")
@click.pass_context
def generate_config(context: click.Context, path: Path, overwrite: bool | None) -> int:
    """Write a YAML configuration with every setting, without secrets.

    A setting that follows as --storage.collection_prefix VALUE, or that the environment has, takes the place of its
    default.
    """
    from compox_core.settings import config_text

    text = config_text(settings_of(None, context.args))
    if path.exists() and not (_asked(path) if overwrite is None else overwrite):
        click.echo(f"Kept {path} as it was.")
        return 0 if overwrite is False else FAILED
    _write(path, text)
    click.echo(f"Wrote {path}")
    return 0


def _asked(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise ConflictError(
            f"'{path}' exists, and nobody can be asked here: add --overwrite to replace it, or --no-overwrite to keep "
            "it.",
            code="file_exists",
            details={"path": str(path)},
        )
    return click.confirm(f"{path} exists. Replace it?", default=False, err=True)


def _write(path: Path, text: str) -> None:
    """Write a file at once, so that nobody reads half a configuration."""
    target = path.resolve()  # a link goes on leading to its file
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_text(text, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except OSError as error:
        raise StorageError(
            f"'{path}' cannot be written: {error.strerror or error}.", details={"path": str(path)}
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)

"""Where the commands `compox-cli` and `compox` start."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Run `compox-cli`."""
    _start("compox_cli.commands", "compox_cli", "compox-cli")


def compox() -> None:
    """Run `compox`."""
    _start("compox_cli.ancestor.commands", "compox", "compox")


def _start(module: str, group: str, name: str) -> None:
    # click comes with an extra: without it, say so instead of showing a traceback.
    try:
        commands = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f'Error: the command line needs {error.name}: run pip install "compox-core[cli]".')
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot show must not end a command that has done its work.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    getattr(commands, group)(prog_name=name)


if __name__ == "__main__":
    main()

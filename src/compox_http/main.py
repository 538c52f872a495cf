"""Where the command `compox-http` starts."""

from __future__ import annotations

import sys

EXTRA = ("click", "litestar", "uvicorn", "httptools", "uvloop")


def main() -> None:
    """Run `compox-http`; without its extra, say what to install instead of showing a traceback."""
    try:
        from compox_http.command import cli

        cli(prog_name="compox-http")
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(f'Error: the server needs {error.name}: run pip install "compox-core[http]".')


if __name__ == "__main__":
    main()

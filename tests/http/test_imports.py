"""What is loaded by what."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(code: str) -> set[str]:
    """Return the top-level modules that are loaded after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport sys; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_client_needs_no_server() -> None:
    """Neither a web framework nor a command line library is loaded."""
    modules = loaded("import compox_http.client; compox_http.client.Client()")
    assert not modules & {"litestar", "uvicorn", "click", "torch"}
    assert "httpx2" in modules


def test_the_package_itself_loads_nothing() -> None:
    """It is a name only."""
    assert not loaded("import compox_http") & {"litestar", "uvicorn", "click", "httpx2", "compox_core", "numpy"}


def test_without_its_extra_the_client_says_what_to_install() -> None:
    """The message has the command."""
    code = (
        "import sys; sys.modules['httpx2'] = None\n"
        "from compox_http.client import Client\n"
        "from compox_core.errors import MissingExtraError\n"
        "try: Client()\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 'pip install "compox-core[client]"' in done.stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_no_server(argument: str) -> None:
    """They answer at once."""
    code = f"import sys; sys.argv = ['compox-http', '{argument}']\nfrom compox_http.main import main\n"
    assert not loaded(f"{code}try: main()\nexcept SystemExit: pass") & {"litestar", "uvicorn", "numpy"}


@pytest.mark.parametrize("missing", ["click", "litestar", "uvicorn"])
def test_without_its_extra_the_server_says_what_to_install(missing: str) -> None:
    """The command ends with one line and exit code 1, not with a traceback."""
    code = (
        f"import sys; sys.modules['{missing}'] = None; sys.argv = ['compox-http', 'serve', '--store', 'memory://']\n"
        "from compox_http.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f'Error: the server needs {missing}: run pip install "compox-core[http]".\n'

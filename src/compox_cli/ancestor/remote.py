"""`deploy-local`, `delete-algorithm`, `export-algorithm`: what a server that runs is asked for.

The body of each answer goes to stdout as it came, which scripts parse.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compox_core.errors import CompoxError, InvalidInputError, StorageError, TaskFailedError

if TYPE_CHECKING:
    from compox_http.client.connection import Connection

Command = TypeVar("Command", bound=Callable[..., Any])

API = "/api/v0"
DEFAULT_URL = "http://127.0.0.1:5481"
REQUEST_SECONDS = 60.0
DEPLOY_SECONDS = 1800.0
"""How long a server may be silent: a deploy that is waited for is checked and stored before it answers."""


def server_option(command: Command) -> Command:
    """Add `--server-url`; the command gets `server_url`."""
    return click.option(
        "--server-url", default=DEFAULT_URL, show_default=True, metavar="URL", callback=_url, help="Where it runs."
    )(command)


def _url(context: click.Context, parameter: click.Parameter, text: str) -> str:
    return text if "://" in text else f"http://{text}"


@click.command("deploy-local")
@click.argument("path")
@server_option
@click.option("--algorithm-name", metavar="NAME", help="A name in place of that in pyproject.toml.")
@click.option("--algorithm-major-version", metavar="N", help="A major version in place of that in pyproject.toml.")
@click.option("--removable", type=bool, help="Whether clients may remove it: true or false.")
@click.option("--exportable", type=bool, help="Whether clients may export it: true or false.")
@click.option("--async", "queued", is_flag=True, help="Let the server queue it, and follow it until it has ended.")
@click.option("--poll/--no-poll", default=True, show_default=True, help="Follow it, with --async.")
@click.option("--timeout-s", type=click.IntRange(0), default=60, show_default=True, help="Follow it for so long.")
@click.option("--poll-interval-s", type=float, default=0.5, show_default=True, help="Ask so often.")
def deploy_local(
    path: str, server_url: str, queued: bool, poll: bool, timeout_s: int, poll_interval_s: float, **request: Any
) -> None:
    """Have a server on this machine deploy the folder or zip at PATH.

    The server takes it only from a folder that its setting deploy.allowed_roots names, or from that of
    deploy_algorithms_from where there is none. The exit code is 1 where the deploy fails, or has not ended in time.
    """
    from compox_http.client.connection import without_none

    if not 0 < poll_interval_s <= 3600:  # also false for nan
        raise click.UsageError("--poll-interval-s must be more than 0 seconds, and at most 3600.")
    query = without_none({"path": os.path.abspath(path), **request})  # noqa: PTH100  # without following links
    with _connected(server_url, REQUEST_SECONDS if queued else DEPLOY_SECONDS) as connection:
        if not queued:
            _answer(connection, "POST", f"{API}/deploy/local", params=query)
            return
        deploy_id = _field(_answer(connection, "POST", f"{API}/deploy/local-async", params=query), "deploy_id")
        if poll:
            _follow(connection, deploy_id, timeout_s, poll_interval_s)


@click.command("delete-algorithm")
@click.argument("algorithm_name")
@click.argument("algorithm_major_version")
@server_option
@click.option("--algorithm-minor-version", metavar="N", help="Remove this minor version only.")
def delete_algorithm(
    algorithm_name: str, algorithm_major_version: str, server_url: str, algorithm_minor_version: str | None
) -> None:
    """Remove an algorithm that is removable, or one minor version of it, from a server."""
    from compox_http.client.connection import segment, without_none

    query = without_none({"algorithm_minor_version": algorithm_minor_version})
    with _connected(server_url) as connection:
        known = f"{API}/algorithm/{segment(algorithm_name)}/{segment(algorithm_major_version)}"
        algorithm_id = _field(_answer(connection, "GET", known, shown=False), "algorithm_id")
        _answer(connection, "DELETE", f"{API}/deploy/algorithm/{segment(algorithm_id)}", params=query)


@click.command("export-algorithm")
@click.argument("algorithm_name")
@click.argument("algorithm_major_version")
@server_option
@click.option("--algorithm-minor-version", metavar="N", help="The minor version; the latest where it is left out.")
@click.option("--checkpoint-id", metavar="ID", help="Take the weights of this checkpoint.")
@click.option(
    "--output-dir", default="", metavar="FOLDER", help="Where the zip goes; here where it is left out.",
    type=click.Path(file_okay=False, path_type=Path),
)  # fmt: skip
def export_algorithm(
    algorithm_name: str,
    algorithm_major_version: str,
    server_url: str,
    algorithm_minor_version: str | None,
    checkpoint_id: str | None,
    output_dir: Path,
) -> None:
    """Save an algorithm of a server as NAME_MAJOR.zip, which can be deployed again."""
    from compox_http.client.views import RemoteAlgorithms

    target = output_dir / f"{algorithm_name}_{algorithm_major_version}.zip"
    if target.parent != output_dir:
        raise click.UsageError("NAME and MAJOR may hold no '/' or '\\': they are no paths.")
    if not output_dir.is_dir():
        raise click.UsageError(f"The folder '{output_dir}' does not exist: make it first, or leave out --output-dir.")
    with _connected(server_url) as connection:
        try:
            RemoteAlgorithms(connection).export(
                algorithm_name,
                algorithm_major_version,
                algorithm_minor_version,
                checkpoint_id=checkpoint_id,
                target=target,
            )
        except OSError as error:
            if isinstance(error, CompoxError):
                raise
            raise StorageError(f"'{target}' cannot be written: {error.strerror or error}.") from error
    click.echo(f"Saved: {target}")


@contextmanager
def _connected(url: str, timeout: float = REQUEST_SECONDS) -> Iterator[Connection]:
    from compox_http.client.connection import Connection

    try:
        connection = Connection(url, timeout)
    except InvalidInputError as error:
        raise click.UsageError(f"--server-url: {error.message}") from None
    with closing(connection):
        yield connection


def _answer(connection: Connection, method: str, path: str, *, shown: bool = True, **options: Any) -> Any:
    """Return the answer to a request, having shown it; one that tells of an error is always shown, and raised."""
    response = connection.request(method, path, **options)
    if shown or not response.is_success:
        click.echo(response.text)
    return connection.decoded(response)


def _field(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise CompoxError(
            f"The server's answer has no {name}: is this the address of a compox server?", code="invalid_answer"
        )
    return value


def _follow(connection: Connection, deploy_id: str, timeout_s: int, interval: float) -> None:
    from compox_core.records import TaskStatus
    from compox_http.client.connection import segment

    path = f"{API}/deploy/{segment(deploy_id)}"
    click.echo(f"Following the deploy for up to {timeout_s} s …", err=True)
    deadline = time.monotonic() + timeout_s
    while True:
        status = _field(_answer(connection, "GET", path), "status")
        if status == TaskStatus.COMPLETED:
            return
        if status in (TaskStatus.FAILED, TaskStatus.STOPPED):
            raise TaskFailedError(f"The deploy '{deploy_id}' ended {status}: its record above says why.")
        left = deadline - time.monotonic()
        if left <= 0:
            raise CompoxError(
                f"The deploy '{deploy_id}' is still {status} after {timeout_s} s. It goes on, and GET {path} tells of "
                "it; --timeout-s follows it for longer.",
                code="deploy_timed_out",
                retryable=True,
            )
        time.sleep(min(interval, left))

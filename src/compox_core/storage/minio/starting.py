"""Whether a MinIO has to be started, and how."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from pathlib import Path

from compox_core.errors import SettingsError, StorageError
from compox_core.settings import Settings, resolve_path
from compox_core.settings.models import MinioBackend
from compox_core.storage.minio import server
from compox_core.storage.minio.probe import Answer, ask

logger = logging.getLogger("compox_core.minio")

SECTION = "storage.backend_settings"


def start_minio(settings: Settings) -> server.MinioServer | None:
    """Start the MinIO that the settings ask for, and return it when it answers.

    None where they ask for none, or where an S3 server answers at the endpoint already: another engine may have started
    it. The store has to be opened with the settings of what is returned.

    Raises:
        SettingsError: `minio_not_found` where there is no such program, `minio_port_taken` where something else
            answers.
        StorageError: `minio_failed` where it ends or does not answer.
    """
    backend = settings.storage.backend_settings
    if not isinstance(backend, MinioBackend) or not backend.start_instance:
        return None
    endpoint = backend.endpoint
    if _serves(endpoint):
        _tell_used(settings, endpoint)
        return None
    started = server.MinioServer(settings, _command(settings, backend, endpoint), endpoint)
    try:
        started.start()
    except StorageError:
        if ask(endpoint) is Answer.S3:  # another engine was faster
            _tell_used(settings, endpoint)
            return None
        raise
    return started


def _tell_used(settings: Settings, endpoint: str) -> None:
    logger.info("An S3 server that answers at %s already is used.", endpoint)
    if not (settings.storage.access_key_id and settings.storage.secret_access_key):
        logger.warning(
            "Its keys are not in the settings (storage.access_key_id, secret_access_key): where another process has "
            "started it without any, only that one knows them."
        )


def _serves(endpoint: str) -> bool:
    """Return whether an S3 server answers; wait for one that is about to."""
    deadline = time.monotonic() + server.START_SECONDS
    while True:
        try:
            answer = ask(endpoint)
        except ValueError as error:
            raise SettingsError(
                f"{SECTION}.s3_endpoint_url cannot be used: {error}.", details={"key": f"{SECTION}.s3_endpoint_url"}
            ) from None
        if answer is Answer.OTHER:
            raise SettingsError(
                f"Something that is no S3 server answers at {endpoint}, where MinIO is to be started: end it, or set "
                f"{SECTION}.port, and s3_endpoint_url where it is set, to another port.",
                code="minio_port_taken",
                details={"endpoint": endpoint},
            )
        if answer is not Answer.STARTING or time.monotonic() >= deadline:
            return answer is not Answer.NOTHING
        time.sleep(server.PAUSE_SECONDS)


def _command(settings: Settings, backend: MinioBackend, endpoint: str) -> list[str]:
    folder = resolve_path(settings, f"{SECTION}.storage_path")
    if folder is None:
        raise SettingsError(
            f"{SECTION}.storage_path names no folder for the data of MinIO.", details={"key": f"{SECTION}.storage_path"}
        )
    program = _program(settings, backend)
    if program is None:
        raise SettingsError(
            f"There is no MinIO at '{backend.executable_path}' ({SECTION}.executable_path), and nothing answers at "
            f"{endpoint}. Its makers have archived MinIO. Set {SECTION}.provider to local, which needs no server; or "
            "start_instance to false and s3_endpoint_url to any S3 server that runs; or provider to aws.",
            code="minio_not_found",
            details={"executable_path": backend.executable_path, "endpoint": endpoint},
        )
    return [
        *(str(program), "server", str(folder)),
        *("--address", f"127.0.0.1:{backend.port}", "--console-address", f"127.0.0.1:{backend.console_port}"),
    ]


def _program(settings: Settings, backend: MinioBackend) -> Path | None:
    path = resolve_path(settings, f"{SECTION}.executable_path")
    if path is None:
        return None
    candidates = [path]
    if sys.platform == "win32":
        candidates += [path.with_suffix(".exe"), path.with_name("minio.exe")]  # as compox 3.2 has it there
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None and Path(backend.executable_path).name == backend.executable_path:
        named = shutil.which(backend.executable_path)
        found = None if named is None else Path(named)
    return found

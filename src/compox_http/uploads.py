"""An upload: from a request's body to a stored file, with the hash that its client may have sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Request, Response

from compox_http.answers import JsonResponse
from compox_http.bodies import receive_file
from compox_http.digests import announced_sha256, check_sha256
from compox_http.service import Service
from compox_http.shapes import FileCreated


async def receive_upload(request: Request[Any, Any, Any], service: Service) -> Response[FileCreated]:
    """Store the body and return its id. Raises DataError (`invalid_hdf5_file`), InvalidInputError."""
    files, threads = service.engine.files, service.threads
    limit = service.engine.settings.limits.max_upload_bytes
    sha256 = announced_sha256(request.headers)
    again = None if sha256 is None else await threads.run(files.again, sha256)
    if again is not None:
        if request.headers.get("expect", "").lower() == "100-continue":
            # It may begin to send all the same, so the connection ends.
            return _created(again, {"connection": "close"})
        try:  # the body comes anyway: it shall be what was said
            check_sha256(sha256, await receive_file(request.stream(), None, threads, limit=limit))
        except BaseException:  # whatever it is, it is raised again
            await threads.run(files.delete, again)
            raise
        return _created(again)
    path, found = await receive_scratch(request, service)
    return _created(await threads.run(files.adopt, path, found, noted=sha256 is not None))


async def receive_scratch(request: Request[Any, Any, Any], service: Service) -> tuple[Path, str]:
    """Return a scratch file with the body, which the caller removes, and the SHA-256 of it.

    Raises InvalidInputError (`invalid_digest`, `digest_mismatch`, `upload_too_large`); nothing stays then.
    """
    engine, threads = service.engine, service.threads
    announced = announced_sha256(request.headers)
    scratch, limit = engine.store.scratch(), engine.settings.limits.max_upload_bytes
    found = await receive_file(request.stream(), scratch, threads, limit=limit)
    try:
        check_sha256(announced, found)
    except BaseException:  # whatever it is, it is raised again
        await threads.run(scratch.unlink)
        raise
    return scratch, found


def _created(file_id: str, headers: dict[str, str] | None = None) -> Response[FileCreated]:
    return JsonResponse({"file_id": file_id}, status_code=200, headers=headers)

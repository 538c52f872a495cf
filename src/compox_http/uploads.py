"""An upload: from a request's body to a stored file, with the hash that its client may have sent."""

from __future__ import annotations

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
            received = await receive_file(request.stream(), None, threads, limit=limit)
            check_sha256(sha256, received.sha256)
        except BaseException:  # whatever it is, it is raised again
            await threads.run(files.delete, again)
            raise
        return _created(again)
    received = await receive_file(request.stream(), service.engine.store.scratch(), threads, limit=limit)
    assert received.path is not None
    try:
        check_sha256(sha256, received.sha256)
    except BaseException:
        await threads.run(received.path.unlink)
        raise
    return _created(await threads.run(files.adopt, received.path, received.sha256, noted=sha256 is not None))


def _created(file_id: str, headers: dict[str, str] | None = None) -> Response[FileCreated]:
    return JsonResponse({"file_id": file_id}, status_code=200, headers=headers)

"""Stored HDF5 files: inputs on their way in, results on their way out."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Request, Response, delete, post, route
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from compox_http.documents import (
    FILE_CONTENT,
    FILE_STATUSES,
    NOT_UNDERSTOOD,
    Documented,
    FileUpload,
    refusals,
    with_head,
)
from compox_http.downloads import send_file
from compox_http.service import Service
from compox_http.shapes import FileCreated, Message
from compox_http.uploads import receive_upload

TAGS = ["files"]


@post(
    "/files",
    status_code=200,
    tags=TAGS,
    summary="Upload an HDF5 file",
    operation_id="upload_file",
    operation_class=FileUpload,
    responses={**refusals(403, 413), **NOT_UNDERSTOOD},
    request_max_body_size=None,
)
async def upload(request: Request[Any, Any, Any]) -> Response[FileCreated]:
    """The request's body is the file, as it is: no multipart, any content type. What is not HDF5 is refused.

    With `X-Content-SHA256: <hex>` or `Content-Digest: sha-256=:<base64>:` the body is checked on its way, and content
    that the server has already is not stored twice; a client that waits for `100 Continue` need not even send it.
    """
    return await receive_upload(request, Service.of(request))


@route(
    "/files/{file_id:str}",
    http_method=["GET", "HEAD"],
    tags=TAGS,
    summary="Download a file",
    operation_id=with_head("download_file"),
    operation_class=Documented,
    responses={**FILE_CONTENT, **FILE_STATUSES, **refusals(404)},
)
async def download(request: Request[Any, Any, Any], file_id: FromPath[str]) -> ASGIResponse:
    """The bytes of a file, as they were uploaded or as an algorithm wrote them; with `Range`, a part of them."""
    service = Service.of(request)
    return await send_file(request, partial(service.engine.files.open_tagged, file_id), service.threads)


@delete(
    "/files/{file_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete a file",
    operation_id="delete_file",
    operation_class=Documented,
    responses=refusals(403, 404, 409),
)
async def remove(request: Request[Any, Any, Any], file_id: FromPath[str]) -> Message:
    """Remove a file from the store. One that a training sample uses stays (409)."""
    service = Service.of(request)
    await service.threads.run(service.engine.files.delete, file_id)
    return {"detail": "File deleted successfully"}

"""Stored HDF5 files: inputs on their way in, results on their way out."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Request, delete, get, post
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from compox_http.bodies import receive_file, send_file
from compox_http.documents import FILE_CONTENT, Documented, FileUpload, refusals
from compox_http.service import Service
from compox_http.shapes import FileCreated, Message

TAGS = ["files"]


@post(
    "/files",
    status_code=200,
    tags=TAGS,
    summary="Upload an HDF5 file",
    operation_id="upload_file",
    operation_class=FileUpload,
    responses=refusals(422),
    request_max_body_size=None,
)
async def upload(request: Request[Any, Any, Any]) -> FileCreated:
    """The request's body is the file, as it is: no multipart, any content type. What is not HDF5 is refused."""
    service = Service.of(request)
    engine, threads = service.engine, service.threads
    path = await receive_file(request.stream(), engine.store.scratch(), threads)
    return {"file_id": await threads.run(engine.files.adopt, path)}


@get(
    "/files/{file_id:str}",
    tags=TAGS,
    summary="Download a file",
    operation_id="download_file",
    operation_class=Documented,
    responses={**FILE_CONTENT, **refusals(404)},
)
async def download(request: Request[Any, Any, Any], file_id: FromPath[str]) -> ASGIResponse:
    """The bytes of a file, as they were uploaded or as an algorithm wrote them."""
    service = Service.of(request)
    return await send_file(partial(service.engine.files.open, file_id), service.threads)


@delete(
    "/files/{file_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete a file",
    operation_id="delete_file",
    operation_class=Documented,
    responses=refusals(404),
)
async def remove(request: Request[Any, Any, Any], file_id: FromPath[str]) -> Message:
    """Remove a file from the store."""
    service = Service.of(request)
    await service.threads.run(service.engine.files.delete, file_id)
    return {"detail": "File deleted successfully"}

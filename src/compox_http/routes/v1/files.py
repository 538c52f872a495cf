"""Files at signed URLs, under names of the client's own; the bytes go to and from the store itself where it can."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from litestar import Request, delete, get, put, route
from litestar.params import FromPath, QueryParameter
from litestar.response.base import ASGIResponse

from compox_core.engine.links import Link
from compox_core.errors import NotFoundError
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
from compox_http.shapes import Message, SignedUrl
from compox_http.uploads import receive_scratch

TAGS = ["files"]

Expires = Annotated[str, QueryParameter(description="As the signed URL has it: seconds since 1970.")]
Signature = Annotated[str, QueryParameter(description="As the signed URL has it.")]


@get(
    "/files/{object_name:str}/upload-url",
    tags=TAGS,
    summary="Get a URL to put a file at",
    operation_id="get_upload_url",
    operation_class=Documented,
    responses={**refusals(409), **NOT_UNDERSTOOD},
)
async def upload_url(request: Request[Any, Any, Any], object_name: FromPath[str]) -> SignedUrl:
    """Whoever has the URL may `PUT` one new file there, as it is, for an hour. The name is then the file's id."""
    service = Service.of(request)
    return _url(request, object_name, await service.threads.run(service.engine.links.upload, object_name))


@get(
    "/files/{object_name:str}/download-url",
    tags=TAGS,
    summary="Get a URL to download a file from",
    operation_id="get_download_url",
    operation_class=Documented,
    responses=refusals(404),
)
async def download_url(request: Request[Any, Any, Any], object_name: FromPath[str]) -> SignedUrl:
    """Whoever has the URL may `GET` the file for an hour. Files of `/api/v0/files` have such URLs, too."""
    service = Service.of(request)
    try:
        return _url(request, object_name, await service.threads.run(service.engine.links.download, object_name))
    except NotFoundError as error:
        raise _by_name(error, object_name) from error


@put(
    "/files/{object_name:str}/content",
    status_code=200,
    tags=TAGS,
    summary="Put a file at a signed URL",
    operation_id="put_file",
    operation_class=FileUpload,
    responses={**refusals(403, 409, 413), **NOT_UNDERSTOOD},
    request_max_body_size=None,
)
async def put_content(
    request: Request[Any, Any, Any], object_name: FromPath[str], expires: Expires, signature: Signature
) -> Message:
    """Where `upload-url` leads when the store has no signed URLs of its own. It is checked as HDF5 when it is used."""
    service = Service.of(request)
    engine, threads = service.engine, service.threads
    await threads.run(engine.links.check, "PUT", object_name, expires, signature)
    path, _ = await receive_scratch(request, service)
    await threads.run(engine.links.put, object_name, path)
    return {"detail": "File uploaded successfully"}


@route(
    "/files/{object_name:str}/content",
    http_method=["GET", "HEAD"],
    tags=TAGS,
    summary="Download a file from a signed URL",
    operation_id=with_head("get_file_content"),
    operation_class=Documented,
    responses={**FILE_CONTENT, **FILE_STATUSES, **refusals(403, 404), **NOT_UNDERSTOOD},
)
async def get_content(
    request: Request[Any, Any, Any], object_name: FromPath[str], expires: Expires, signature: Signature
) -> ASGIResponse:
    """Where `download-url` leads when the store has no signed URLs of its own."""
    service = Service.of(request)
    await service.threads.run(service.engine.links.check, "GET", object_name, expires, signature)
    try:
        return await send_file(request, partial(service.engine.files.open_tagged, object_name), service.threads)
    except NotFoundError as error:
        raise _by_name(error, object_name) from error


@delete(
    "/files/{object_name:str}",
    status_code=200,
    tags=TAGS,
    summary="Delete a file by its name",
    operation_id="delete_named_file",
    operation_class=Documented,
    responses=refusals(403, 404, 409),
)
async def remove(request: Request[Any, Any, Any], object_name: FromPath[str]) -> Message:
    """Remove a file from the store. One that a training sample uses stays (409)."""
    service = Service.of(request)
    try:
        await service.threads.run(service.engine.files.delete, object_name)
    except NotFoundError as error:
        raise _by_name(error, object_name) from error
    return {"detail": "File deleted successfully"}


def _url(request: Request[Any, Any, Any], name: str, link: Link) -> SignedUrl:
    if link.url is not None:
        return {"url": link.url}
    place = f"{str(request.base_url).rstrip('/')}/api/v1/files/{quote(name, safe='')}/content"
    return {"url": f"{place}?{urlencode({'expires': link.expires, 'signature': link.signature})}"}


def _by_name(error: NotFoundError, name: str) -> NotFoundError:
    """Return the error as clients of these routes know it: the key in its details is called otherwise here."""
    return NotFoundError(error.message, code=error.code, details={"object_name": name})

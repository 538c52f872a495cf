"""The least that a Litestar application can do: bytes to a file, bytes from a file, an empty answer."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.response import Stream

from compox_http.serving import bind, make_server, url_of

CHUNK_BYTES = 1 << 20


def main(folder: Path) -> None:
    """Serve at a free port and print the URL."""

    @post("/upload", status_code=200, request_max_body_size=None)
    async def upload(request: Request[Any, Any, Any]) -> dict[str, str]:
        with (folder / "uploaded").open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        return {"file_id": "uploaded"}

    @get("/download")
    async def download() -> Stream:
        async def chunks() -> AsyncIterator[bytes]:
            with (folder / "uploaded").open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

        return Stream(chunks(), media_type="application/octet-stream")

    @get("/nothing")
    async def nothing() -> dict[str, str]:
        return {"status": "COMPLETED"}

    listener = bind("127.0.0.1", 0)
    app = Litestar([upload, download, nothing], logging_config=None, openapi_config=None)
    make_server(app, lambda: print(url_of(listener), flush=True)).run([listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

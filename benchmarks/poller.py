"""Asks a server the same again and again on several connections: started by `benchmarks.crowd`.

It sends bytes that are made once and looks at no more of an answer than its length, so that on few cores the server is
measured and not its client. It prints how many answers a second came, and the first one's status.
"""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import urlsplit

CONNECTIONS = 8


async def main(url: str, duration: float) -> None:
    """Ask for `duration` seconds."""
    place = urlsplit(url)
    request = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
    warm_up = min(1.0, duration / 4)
    await _all(place.hostname or "", place.port or 80, request, warm_up)
    began = time.perf_counter()
    answers = await _all(place.hostname or "", place.port or 80, request, duration)
    print(answers / (time.perf_counter() - began))


async def _all(host: str, port: int, request: bytes, duration: float) -> int:
    return sum(await asyncio.gather(*(_one(host, port, request, duration) for _ in range(CONNECTIONS))))


async def _one(host: str, port: int, request: bytes, duration: float) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    until, answers = time.perf_counter() + duration, 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        answers += 1
    writer.close()
    await writer.wait_closed()
    return answers


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main(sys.argv[1], float(sys.argv[2])))
    except ImportError:  # on Windows
        asyncio.run(main(sys.argv[1], float(sys.argv[2])))

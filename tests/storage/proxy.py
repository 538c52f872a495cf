"""A proxy on loopback that loses answers, or is not there at all."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards connections to a server, and drops chosen answers after the server has given them."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lost = 0
        self._verb = b""
        self._times = 0
        self._after = 0
        self._open: set[socket.socket] = set()

    def stop(self) -> None:
        """Be a server that was stopped: connections break, new ones are refused, until `go_on`."""
        _end(self._listener)
        self._listener.close()
        for client in list(self._open):
            _end(client)

    def go_on(self) -> None:
        """Be a server that was started again, at the same address."""
        self._listener = socket.create_server(("127.0.0.1", urlsplit(self.endpoint).port or 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answer_to(self, verb: bytes, *, times: int = 1) -> None:
        """Close the connection instead of passing on the answers to the next requests that begin with `verb`."""
        self.cut_answer_to(verb, after=0, times=times)

    def cut_answer_to(self, verb: bytes, *, after: int, times: int = 1) -> None:
        """Close the connection after so many bytes of the answers to the next requests that begin with `verb`."""
        self._verb, self._after, self._times = verb, after, times

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._open.add(client)
            if listener is not self._listener or listener.fileno() < 0:
                _end(client)  # it was stopped at this moment
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        """Carry one connection; both directions end together."""
        left: list[int] = []  # how many bytes of the answer still pass, when it is to be cut
        with client, socket.create_connection(self._server) as server:
            threading.Thread(target=self._answers, args=(server, client, left), daemon=True).start()
            try:
                while data := client.recv(65536):
                    if self._times and self._verb and data.startswith(self._verb):
                        self._times -= 1
                        left.append(self._after)
                    server.sendall(data)
            except OSError:
                pass  # the other direction has closed it
            # A close alone would not be seen by the server while the other thread reads from this socket.
            _end(server)
            self._open.discard(client)

    def _answers(self, server: socket.socket, client: socket.socket, left: list[int]) -> None:
        try:
            while data := server.recv(65536):
                if left and not data.startswith(b"HTTP/1.1 100"):
                    if left[0] < len(data):
                        self.lost += 1
                        break
                    left[0] -= len(data)
                client.sendall(data)
        except OSError:
            pass  # the other direction has closed it
        for end in (client, server):
            _end(end)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

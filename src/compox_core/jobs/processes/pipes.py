"""The three pipes between a worker and its parent, seen from the worker."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

LINE_BUFFERED = 1  # _IOLBF of C, which Windows takes for full buffering
UNBUFFERED_WINDOWS = 4  # _IONBF there


@dataclass(frozen=True)
class Pipes:
    """Commands come in, events go out; `native` is where the standard streams of C and of children end."""

    commands: io.FileIO
    events: io.FileIO
    native: int


def take_pipes() -> Pipes:
    """Take the standard descriptors of this process for messages, and leave harmless ones in their place.

    Whatever an algorithm, a library or a child writes on stdout goes where stderr goes, to a pipe of its own: no stray
    output can break a message. What reads stdin finds its end. Children inherit none of the private ends.
    """
    commands = io.FileIO(os.dup(0), "rb")
    events = io.FileIO(os.dup(1), "wb")
    native = os.dup(2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    _buffer_lines_in_c()
    return Pipes(commands, events, native)


def _buffer_lines_in_c() -> None:
    """Have C libraries write each line of stdout when it ends, as on a terminal: it is a pipe here."""
    with suppress(Exception):  # a C library that does not offer this; lines come late then, with the end of the job
        library, stdout = _c_stdout()
        library.setvbuf.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t)
        if sys.platform == "win32":
            library.setvbuf(stdout, None, UNBUFFERED_WINDOWS, 0)
        else:
            library.setvbuf(stdout, None, LINE_BUFFERED, 4096)


def _c_stdout() -> tuple[Any, Any]:
    if sys.platform == "win32":
        library = ctypes.CDLL("ucrtbase")
        library.__acrt_iob_func.restype = ctypes.c_void_p
        return library, library.__acrt_iob_func(1)
    library = ctypes.CDLL(None)
    name = "__stdoutp" if sys.platform == "darwin" else "stdout"
    return library, ctypes.c_void_p.in_dll(library, name)


def flush_all() -> None:
    """Write what Python's own and C's standard streams still hold."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # an algorithm may have closed them
            if stream is not None:
                stream.flush()
    with suppress(Exception):  # as above
        library = ctypes.CDLL("ucrtbase") if sys.platform == "win32" else ctypes.CDLL(None)
        library.fflush(None)

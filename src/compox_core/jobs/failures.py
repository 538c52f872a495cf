"""From an exception to what a record and a log say of it."""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from compox_core.algorithms.scope.folders import as_author_sees
from compox_core.errors import CompoxError
from compox_core.records import AlgorithmTaskRecord, ErrorInfo, TaskRecord
from compox_core.records.plain import MAX_MESSAGE, encodable, plain_or_written, said, written
from compox_core.tasks.memory import asked_for, device_memory_error

OWN_FOLDER = str(Path(__file__).resolve().parent.parent)
MAX_CAUSES = 8


def error_info(error: BaseException, *, causes: int = MAX_CAUSES) -> ErrorInfo:
    """Return what the record keeps of a failure and of its causes; never raises, whatever the exception is."""
    cause = error.__cause__
    name = encodable(type(error).__name__)
    if isinstance(error, CompoxError):
        info = ErrorInfo(
            type=name,
            message=as_author_sees(said(error)),
            code=encodable(str(getattr(error, "code", error.default_code))),
            details=_details(error),
            retryable=bool(getattr(error, "retryable", False)),
        )
    elif isinstance(error, SystemExit):
        info = ErrorInfo(
            type="SystemExit",
            message=f"The algorithm called sys.exit({written(error.code)}); raise an exception instead.",
            code="algorithm_exited",
        )
    else:
        info = ErrorInfo(type=name, message=as_author_sees(said(error)), code=name)
    if cause is not None and causes > 0:  # a chain may be long, and may lead back to itself
        info.cause = error_info(cause, causes=causes - 1)
    return info


def device_memory_info(error: BaseException, record: TaskRecord) -> ErrorInfo | None:
    """Return what the record keeps of a failure that came from too little memory on a GPU; None for any other."""
    source = device_memory_error(error)
    if source is None:
        return None
    device = record.resolved_execution_device if isinstance(record, AlgorithmTaskRecord) else None
    asked = asked_for(source)
    what = f"{asked} were asked for" if asked else as_author_sees(said(source)).splitlines()[0]
    return ErrorInfo(
        type=encodable(type(source).__name__),
        message=f"The memory of {device or 'the device'} is not enough: {what}. Give the algorithm a smaller input, "
        "run it on the device cpu, or let fewer workers share the GPU (inference.backend_settings.workers). All "
        "algorithms that this worker had loaded were unloaded.",
        code="device_out_of_memory",
        details={"device": device, "asked": asked},
        cause=error_info(error),
    )


def _details(error: CompoxError) -> dict[str, Any]:
    details = getattr(error, "details", None)  # absent where a subclass forgot `super().__init__`
    if not isinstance(details, dict):
        return {}
    return {key if isinstance(key, str) else written(key): plain_or_written(value) for key, value in details.items()}


def algorithm_traceback(error: BaseException) -> str:
    """Return the traceback as the algorithm's author wants it, and a client may see it; never raises.

    Frames of the engine are left out; files of a deployed algorithm are named relative to its folder, those of
    libraries relative to where libraries are installed. Values of variables are never shown.
    """
    try:
        whole = traceback.TracebackException.from_exception(error, compact=True)
        _clean(whole)
        lines = [line if len(line) <= MAX_MESSAGE else line[:MAX_MESSAGE] + " …\n" for line in whole.format()]
    except Exception as problem:  # formatting runs the exception's own methods
        return f"(the traceback cannot be shown: {said(problem)})"
    return as_author_sees(encodable("".join(lines).rstrip()))


def _clean(first: traceback.TracebackException) -> None:
    parts = [first]
    while parts:
        part = parts.pop()
        frames = [frame for frame in part.stack if not frame.filename.startswith(OWN_FOLDER)]
        for frame in frames:
            _ = frame.line  # read while the frame still names the file it is in
            frame.filename = _shown(frame.filename)
        part.stack = traceback.StackSummary.from_list(frames)
        linked = (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ()))
        parts.extend(other for other in linked if other is not None)


def _shown(filename: str) -> str:
    own = as_author_sees(filename)
    if own != filename:
        return Path(own).as_posix()
    path = Path(filename)
    for folder in _library_folders():
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return filename


def without_places(text: str) -> str:
    """Return text in which files of an algorithm, of the engine and of libraries are named without their folders."""
    shown = as_author_sees(text)
    for folder in (str(Path(OWN_FOLDER).parent), *_library_folders()):
        shown = shown.replace(folder + os.sep, "")
    return shown


@functools.cache  # it is asked for with each line that native code writes
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"], *site.getsitepackages(), paths["stdlib"], sys.base_prefix]
    return tuple(sorted(set(folders), key=len, reverse=True))

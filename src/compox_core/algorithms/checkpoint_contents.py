"""What an algorithm gives to be saved as a checkpoint: its assets, as files of known content, and its properties."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from compox_core.errors import CompoxError, InvalidInputError
from compox_core.records.plain import plain, said, written
from compox_core.storage.local_errors import storage_error

Piece: TypeAlias = bytes | bytearray | memoryview
AssetValue: TypeAlias = Piece | os.PathLike[str] | BinaryIO

MOST_PROPERTIES = 1 << 20
"""Bytes of JSON."""
_SHOWN = 20

_CHUNK = 1 << 20


class Content(NamedTuple):
    """The content of an asset: its SHA-256 in hex, its size in bytes, and a file that holds it."""

    sha256: str
    size: int
    path: Path


def check_paths(assets: Mapping[str, AssetValue], allowed: Collection[str]) -> None:
    """Raise InvalidInputError where there is no asset, or one that the algorithm does not have: `checkpoint_empty`,
    `checkpoint_asset_path_invalid`."""
    if not isinstance(assets, Mapping):
        raise InvalidInputError(
            f"The assets of a checkpoint are {type(assets).__name__}: give a dict of asset paths and contents.",
            code="checkpoint_asset_invalid",
        )
    if not assets:
        raise InvalidInputError(
            "A checkpoint without an asset has nothing to run with: give at least one of the algorithm's asset paths "
            "with its new content.",
            code="checkpoint_empty",
        )
    for path in assets:
        if path not in allowed:
            known = sorted(allowed)
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            raise InvalidInputError(
                f"The algorithm has no asset {written(path)}, so a checkpoint cannot stand in for it. Its assets are: "
                f"{', '.join(known[:_SHOWN])}{more}. Put a file of that name into the algorithm's folder and deploy "
                "it, or save under one of these.",
                code="checkpoint_asset_path_invalid",
                details={"path": plain_text(path), "asset_paths": known},
            )


def plain_text(value: object) -> str:
    """Return a name as JSON can hold it."""
    return value if isinstance(value, str) and value.isprintable() else written(value)


def plain_properties(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return properties as JSON holds them; what numpy and torch make become numbers and lists.

    Raises InvalidInputError (`checkpoint_manifest_invalid`), which names the property that JSON cannot hold.
    """
    if properties is None:
        return {}
    if not isinstance(properties, Mapping):
        raise _unfit(f"The properties of a checkpoint are {type(properties).__name__}: give a dict.")
    found: dict[str, Any] = {}
    given = _reading("The properties of a checkpoint", lambda: dict(properties))
    for name, value in given.items():
        what = f"The property {written(name)} of a checkpoint"
        found |= _reading(what, partial(plain, {name: value}), name)
    try:
        size = len(json.dumps(found, ensure_ascii=False).encode())
    except ValueError as error:  # an int of thousands of digits
        raise _unfit(f"The properties of a checkpoint cannot be written as JSON: {said(error)}.") from error
    if size > MOST_PROPERTIES:
        raise _unfit(
            f"The properties of a checkpoint take {size} bytes as JSON, and there is room for {MOST_PROPERTIES}: keep "
            "what is large in an asset."
        )
    return found


def plain_tags(tags: Collection[str]) -> list[str]:
    """Return tags as they were given; raises InvalidInputError (`checkpoint_manifest_invalid`) where one is no text."""
    for tag in [tags] if isinstance(tags, str) else tags:
        if not isinstance(tag, str) or tag is tags:
            raise _unfit(f"The tags of a checkpoint hold {written(tag)}: give a list of texts.")
    found: list[str] = _reading("The tags of a checkpoint", lambda: plain(list(tags)))
    return found


@contextmanager
def hashed(
    assets: Mapping[str, AssetValue], scratch: Callable[[], Path], passed: Callable[[int], None] = lambda size: None
) -> Iterator[dict[str, Content]]:
    """Give the contents of assets as files, for as long as the block lasts.

    A file that is named stays where it is; bytes and streams are written to files from `scratch`, piece by piece, a
    stream from its beginning where it has one. `passed` is called between pieces and may raise.

    Raises InvalidInputError (`checkpoint_asset_invalid`) for what is none of these or cannot be read, and StorageError
    where there is no room.
    """
    with ExitStack() as stack:

        def spool(name: str, pieces: Iterable[Piece]) -> Content:
            path = scratch()
            stack.callback(path.unlink, missing_ok=True)
            return _spool(name, pieces, path, passed)

        found = {}
        for name, value in assets.items():
            if isinstance(value, Piece):
                found[name] = spool(name, _cut(value))
            elif isinstance(value, os.PathLike):
                found[name] = _hash(name, Path(os.fsdecode(value)), passed)
            elif not isinstance(value, str) and callable(getattr(value, "read", None)):
                found[name] = spool(name, _streamed(name, value))
            else:
                raise _unusable(name, _advice(value))
        yield found


def _advice(value: object) -> str:
    if isinstance(value, str):
        return "it is a str, which may be a content or a path: give bytes, or a pathlib.Path"
    return (
        f"it is {type(value).__name__}: give bytes, a pathlib.Path or an open binary file (torch.save and numpy.save "
        "can write to an io.BytesIO)"
    )


def _cut(value: Piece) -> Iterator[Piece]:
    view = memoryview(value)
    view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    for start in range(0, len(view), _CHUNK):
        yield view[start : start + _CHUNK]


def _streamed(name: str, stream: BinaryIO) -> Iterator[Piece]:
    try:
        if getattr(stream, "seekable", bool)():
            stream.seek(0)
        while chunk := stream.read(_CHUNK):
            if not isinstance(chunk, Piece):
                raise _unusable(name, f"reading it gives {type(chunk).__name__}: open the file in binary mode ('rb')")
            yield chunk
    except (OSError, ValueError) as error:  # ValueError: it is closed
        if isinstance(error, CompoxError):
            raise
        raise _unusable(name, f"the file cannot be read: {said(error)}") from error


def _hash(name: str, path: Path, passed: Callable[[int], None]) -> Content:
    digest, size = hashlib.sha256(), 0
    try:
        if path.exists() and not path.is_file():
            raise _unusable(name, f"{path} is no file")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                passed(0)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        if isinstance(error, CompoxError):
            raise
        raise _unusable(name, f"{path} cannot be read: {said(error)}") from error
    return Content(digest.hexdigest(), size, path)


def _spool(name: str, pieces: Iterable[Piece], path: Path, passed: Callable[[int], None]) -> Content:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb", buffering=0) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
                passed(0)
    except OSError as error:
        if isinstance(error, CompoxError):
            raise
        raise storage_error(error, "write", f"the asset '{name}' of a checkpoint to {path}") from error
    return Content(digest.hexdigest(), size, path)


def _reading(what: str, read: Callable[[], Any], name: object = None) -> Any:
    try:
        return read()
    except Exception as error:  # whatever an object's own methods raise
        why = str(error) if type(error) is ValueError else f"cannot be read: {said(error)}"
        raise _unfit(f"{what} {why}. Give numbers, texts, lists and dicts of these.", name) from error


def _unfit(message: str, name: object = None) -> InvalidInputError:
    details = {} if name is None else {"property": plain_text(name)}
    return InvalidInputError(message, code="checkpoint_manifest_invalid", details=details)


def _unusable(name: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The asset '{name}' of a checkpoint cannot be saved: {why}.",
        code="checkpoint_asset_invalid",
        details={"path": name},
    )

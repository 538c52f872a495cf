"""Content-addressed blobs that several versions share, and the protocol by which they are stored and
collected.

A blob is an object of `module-store` or `asset-store` whose key is the SHA-256 of its content, or that
SHA-256, a dot and a random part. Versions name blobs by key. Any number of writers (they store or reuse
blobs, then publish a version that names them) and collectors (they delete blobs that no version names any
more) may run at once, in any processes:

    writer     pin the contents; look for tombstones; reuse the blob or store it, under a fresh key where the
               plain one has a tombstone; publish the version; remove the pin
    collector  create a tombstone of its own; read the pins; then read the versions; delete what neither names;
               remove the tombstone

Of a writer and a collector that meet, one sees the other: the collector the pin, and keeps the blob, or the
writer the tombstone, and stores elsewhere. Whoever unpinned before the collector read the pins had published
before it reads the versions. Each collector needs its own tombstone only: several may come to the same end.

What a crash leaves, for a later garbage collection: a pin (nobody deletes what it names), tombstones (the
content is stored once more, under a fresh key), blobs that no version names. None of these is ever in the way
of a deploy, a run or a removal. A pin also stays, on purpose, when a deploy ends by an error whose outcome in
the store is unknown, and a tombstone when a deletion does.

`BlobStore.marks` tells those that were left, which are then deleted: the process is known to have ended, and an
hour has passed in which a request that was still on its way has arrived; or they are a week old. So that a
week is enough, a collector that was held up for an hour deletes nothing more. No deploy lasts a week.

In `system-store`: `blob-pins/<id>` and `blob-tombstones/<id of a collection>/<collection>/<key>`; both say whose
they are. No key is used twice, so that whoever deletes what was left deletes that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from compox_core.algorithms.blob_writer import Blob, BlobWriter
from compox_core.errors import CompoxError, NotFoundError, StorageError, TaskStoppedException
from compox_core.holder import Holder, this_process
from compox_core.identity import new_id, since_boot, utc_now
from compox_core.storage.collections import SYSTEM
from compox_core.storage.objects import ObjectInfo, ObjectStore

__all__ = ["AFTERMATH", "LONGEST", "PINS", "TOMBSTONES", "Blob", "BlobStore", "BlobWriter", "Marks", "Pin"]

PINS = "blob-pins/"
TOMBSTONES = "blob-tombstones/"

AFTERMATH = timedelta(hours=1)
"""So long a request of a process that has ended may still reach the store."""
LONGEST = timedelta(days=7)
"""No deploy and no collection lasts longer."""

_COLLECTION_SECONDS = 3600.0


class Pin(BaseModel):
    """A writer's notice that it is about to name these contents."""

    created: datetime = Field(default_factory=utc_now)
    holder: Holder | None = None
    contents: list[str]


@dataclass(frozen=True)
class Marks:
    """The pins and tombstones in a store.

    `pinned` are the contents, `buried` the blobs with those that are in use; `left` are the objects of the others.
    """

    pinned: frozenset[str]
    buried: frozenset[Blob]
    left: tuple[ObjectInfo, ...]


class BlobStore:
    """The blobs of one store. Holds no state of its own; any number may work on one store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @contextmanager
    def writer(
        self, contents: Iterable[str], passed: Callable[[int], None] = lambda size: None
    ) -> Iterator[BlobWriter]:
        """Pin `contents` (SHA-256 in hex) and give a writer for them; publish inside the `with` block.

        `passed` is told of every piece that is stored, or is there already, by its size in bytes; it may raise
        TaskStoppedException, which ends the writing.

        On leaving the block the pin is removed, except after an error that leaves open what the store has
        done: a request whose answer was lost may still be carried out later, and what it publishes must not
        lose its blobs. A writer that was not `publishing` has nothing of that kind under way.
        """
        pinned = frozenset(contents)
        key = f"{PINS}{new_id()}"
        pin = Pin(holder=this_process(""), contents=sorted(pinned))
        self._store.create(SYSTEM, key, pin.model_dump_json().encode())
        writer = None
        try:
            writer = BlobWriter(self._store, pinned, self._tombstones(), passed)
            yield writer
        except BaseException as error:
            told = isinstance(error, CompoxError | TaskStoppedException) and not isinstance(error, StorageError)
            if told or (writer is not None and not writer.publishing):
                self._store.delete(SYSTEM, key)
            raise
        self._store.delete(SYSTEM, key)

    def collect(self, blobs: Iterable[Blob], named: Callable[[Collection[Blob]], Collection[Blob]]) -> set[Blob]:
        """Delete those of `blobs` that nobody needs any more and return them.

        `named` gets the candidates and returns those that a living version (of any algorithm, any checkpoint)
        names; it must read the store when it is called, and must raise rather than leave out a record it
        cannot read. Whatever it raises ends the collection with nothing deleted.
        """
        begun, grave = since_boot(), new_id()
        held = set(blobs)
        tombs = {blob: f"{TOMBSTONES}{grave}/{blob.collection}/{blob.key}" for blob in held}
        try:
            self._bury(tombs.values())
            pinned = self._pinned() if held else set()
            free = {blob for blob in held if blob.sha256 not in pinned}
            doomed = free.difference(named(free)) if free else set()
        except BaseException:
            self._lift(tombs.values())
            raise
        self._lift(tombs[blob] for blob in held - doomed)
        deleted: set[Blob] = set()
        for blob in sorted(doomed):
            if since_boot() - begun > _COLLECTION_SECONDS:
                break  # others may soon take the tombstones for left ones
            # Where this raises, the deletion may still happen later: the tombstone stays, writers keep off.
            self._store.delete(*blob)
            self._lift([tombs[blob]])
            deleted.add(blob)
        return deleted

    def marks(self, now: datetime) -> Marks:
        """Return the pins and tombstones, told apart by whether their processes may still be at work.

        Raises StorageError (code `invalid_record`) where a pin cannot be read that is not old: it may pin anything.
        """
        left: list[ObjectInfo] = []
        pinned: set[str] = set()
        for info in self._store.list(SYSTEM, PINS):
            if now - info.modified > LONGEST:
                left.append(info)
                continue
            pin = self._pin(info.key)
            if pin is not None and _is_left(info, pin.holder, now):
                left.append(info)
            elif pin is not None:
                pinned.update(pin.contents)
        buried: set[Blob] = set()
        for info in self._store.list(SYSTEM, TOMBSTONES):
            if _is_left(info, self._digger(info.key), now):
                left.append(info)
            else:
                buried.add(_blob_of(info.key))
        return Marks(frozenset(pinned), frozenset(buried), tuple(left))

    def _bury(self, tombs: Iterable[str]) -> None:
        mine = this_process("").model_dump_json().encode()
        for key in sorted(tombs):
            self._store.create(SYSTEM, key, mine)

    def _lift(self, tombs: Iterable[str]) -> None:
        for key in sorted(tombs):
            self._store.delete(SYSTEM, key)

    def _tombstones(self) -> frozenset[Blob]:
        return frozenset(_blob_of(info.key) for info in self._store.list(SYSTEM, TOMBSTONES))

    def _pinned(self) -> set[str]:
        """Return the contents that writers have pinned."""
        pins = [self._pin(info.key) for info in self._store.list(SYSTEM, PINS)]
        return {content for pin in pins if pin is not None for content in pin.contents}

    def _pin(self, key: str) -> Pin | None:
        """Return a pin; None where its writer has published, or has given up."""
        try:
            return Pin.model_validate_json(self._store.get(SYSTEM, key))
        except NotFoundError:
            return None
        except ValidationError as error:
            raise StorageError(
                f"The pin {key!r} in {SYSTEM!r} cannot be read, so nothing is collected: {error}. "
                "Delete that object once no deploy is running.",
                code="invalid_record",
                details={"collection": SYSTEM, "key": key},
            ) from error

    def _digger(self, key: str) -> Holder | None:
        """Return who created a tombstone; None where it does not say."""
        try:
            return Holder.model_validate_json(self._store.get(SYSTEM, key))
        except (NotFoundError, ValidationError):
            return None


def _is_left(info: ObjectInfo, holder: Holder | None, now: datetime) -> bool:
    age = now - info.modified
    return age > LONGEST or (age > AFTERMATH and holder is not None and holder.gone_here() is True)


def _blob_of(tombstone: str) -> Blob:
    return Blob(*tombstone.split("/")[-2:])

"""What stands behind `compox.tasks.DebuggingTaskHandler` and `compox.database_connection.InMemoryConnection`.

Old debug scripts hold data in such a connection and make such a handler the current task, so that a Runner that they
construct themselves finds it. New scripts use `compox_core.debug`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from compox_core.data import DataSchema, read_hdf5, validate, write_hdf5
from compox_core.errors import NotFoundError
from compox_core.identity import new_id
from compox_core.runners import current_handler
from compox_core.storage import FILES


class InMemoryConnection:
    """Named collections of byte objects in memory, with the calls that scripts of compox 3.2 make."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, bytes]] = {}
        self._tags: dict[tuple[str, str], dict[str, str]] = {}

    def list_collections(self) -> list[str]:
        """Return the names of the collections."""
        return sorted(self._objects)

    def check_collections_exists(self, names: Sequence[str]) -> list[bool]:
        """Return for each name whether there is such a collection."""
        return [name in self._objects for name in names]

    def create_collections(self, names: Sequence[str]) -> None:
        """Make the collections that are missing."""
        for name in names:
            self._objects.setdefault(name, {})

    def delete_collections(self, names: Sequence[str]) -> None:
        """Drop collections with all their objects."""
        for name in names:
            self._objects.pop(name, None)

    def list_objects(self, collection: str) -> list[str]:
        """Return the names of the objects of a collection, sorted."""
        return sorted(self._objects.get(collection, {}))

    def check_objects_exist(self, collection: str, names: Sequence[str]) -> list[bool]:
        """Return for each name whether there is such an object."""
        return [name in self._objects.get(collection, {}) for name in names]

    def get_objects(self, collection: str, names: Sequence[str]) -> list[bytes]:
        """Return the contents of objects. Raises NotFoundError (`object_not_found`)."""
        return [self._get(collection, name) for name in names]

    def get_object_sizes(self, collection: str, names: Sequence[str]) -> list[int]:
        """Return the sizes of objects in bytes."""
        return [len(content) for content in self.get_objects(collection, names)]

    def put_objects(self, collection: str, names: Sequence[str], contents: Sequence[bytes | str]) -> None:
        """Store objects; text is stored as UTF-8."""
        for name, content in zip(names, contents, strict=True):
            stored = content.encode("utf-8") if isinstance(content, str) else bytes(content)
            self._objects.setdefault(collection, {})[name] = stored

    def put_objects_with_duplicity_check(
        self, collection: str, names: Sequence[str], contents: Sequence[bytes | str]
    ) -> None:
        """Store those objects whose names are not taken."""
        for name, content in zip(names, contents, strict=True):
            if name not in self._objects.get(collection, {}):
                self.put_objects(collection, [name], [content])

    def delete_objects(self, collection: str, names: Sequence[str]) -> None:
        """Drop objects; an absent one is no error."""
        for name in names:
            self._objects.get(collection, {}).pop(name, None)
            self._tags.pop((collection, name), None)

    def get_object_tags(self, collection: str, names: Sequence[str]) -> list[dict[str, str]]:
        """Return the tags of objects."""
        return [dict(self._tags.get((collection, name), {})) for name in names]

    def put_object_tags(self, collection: str, names: Sequence[str], tags: Sequence[Mapping[str, str]]) -> None:
        """Replace the tags of objects."""
        for name, given in zip(names, tags, strict=True):
            self._tags[collection, name] = dict(given)

    def _get(self, collection: str, name: str) -> bytes:
        try:
            return self._objects[collection][name]
        except KeyError:
            raise NotFoundError(
                f"The collection '{collection}' in memory has no object '{name}'.", code="object_not_found"
            ) from None


class DebuggingTaskHandler:
    """A task for a script: data in an `InMemoryConnection`, assets from a folder, log and progress printed.

    Args:
        task_id: How the task is called in what is printed.
        database_connection: Where data lies; a new one when None.
        algorithm_directory: The folder that asset paths are relative to.
    """

    def __init__(
        self,
        task_id: str = "local-debug",
        database_connection: InMemoryConnection | None = None,
        algorithm_directory: str | Path = ".",
        **_: Any,
    ) -> None:
        self.task_id = task_id
        self.database_connection = database_connection or InMemoryConnection()
        self._root = Path(algorithm_directory).resolve()
        self._session: dict[str, Any] = {}
        self.progress = 0.0

    def set_as_current_handler(self) -> None:
        """Make this the task of the present context."""
        current_handler.set(self)

    def log_message(self, message: str, logging_level: str = "INFO") -> None:
        """Print a line."""
        print(f"{self.task_id} {logging_level} {message}")

    def set_progress(self, progress: float) -> None:
        """Note and print the progress in [0, 1]."""
        self.progress = progress
        print(f"{self.task_id} {progress:.0%}")

    def fetch_data(
        self, file_ids: Sequence[str], schema: type[DataSchema], *keys: str, parallel: bool = False
    ) -> list[dict[str, Any]]:
        """Read objects of the collection `data-store` as dicts that fit `schema`."""
        contents = self.database_connection.get_objects(FILES, file_ids)
        return [validate(schema, read_hdf5(io.BytesIO(content), keys or None)) for content in contents]

    def post_data(
        self, data: Sequence[Mapping[str, Any]], schema: type[DataSchema], parallel: bool = False
    ) -> list[str]:
        """Store dicts that fit `schema` in the collection `data-store` and return their ids."""
        ids = []
        for values in data:
            stream = io.BytesIO()
            write_hdf5(stream, validate(schema, values))
            ids.append(new_id())
            self.database_connection.put_objects(FILES, ids[-1:], [stream.getvalue()])
        return ids

    def fetch_asset(self, asset_path: str) -> io.BytesIO:
        """Return a file of the algorithm's folder as a `BytesIO`."""
        with self.open_asset(asset_path) as stream:
            return io.BytesIO(stream.read())

    def open_asset(self, asset_path: str) -> BinaryIO:
        """Open a file of the algorithm's folder. Raises NotFoundError (`asset_path_not_found`)."""
        path = (self._root / asset_path).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            raise NotFoundError(
                f"'{self._root}' has no asset '{asset_path}'.",
                code="asset_path_not_found",
                details={"asset_path": asset_path},
            )
        return path.open("rb")

    def save_item_to_session(self, obj: Any, key: str) -> None:
        """Keep a live object as long as this handler lives."""
        self._session[key] = obj

    def load_item_from_session(self, key: str) -> Any:
        """Return what was saved. Raises KeyError."""
        return self._session[key]

    def remove_item_from_session(self, key: str) -> None:
        """Forget an item; an absent one is no error."""
        self._session.pop(key, None)

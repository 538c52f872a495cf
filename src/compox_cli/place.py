"""Which store a command works on."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compox_core.errors import NotFoundError

if TYPE_CHECKING:
    from compox_core.engine import Engine


@dataclass(frozen=True)
class Place:
    """A store's URL or folder, or a configuration file; neither of them means the user's own store."""

    store: str | None = None
    config: Path | None = None

    @contextmanager
    def engine(self, *, create: bool = False, executor: str | None = None) -> Iterator[Engine]:
        """Open an engine on the store, and close it at the end.

        A command that runs no algorithm names the executor `inline`, which starts nothing.

        A store that is not there is made only where `create` says so: a misspelt `--store` must not look like an
        empty store, nor leave one. Raises NotFoundError (`store_not_found`).
        """
        from compox_core.engine import Engine
        from compox_core.settings import load_settings

        if self.store is not None and not create:
            _must_exist(self.store)
        source = self.store if self.store is not None else load_settings(self.config, environment=os.environ)
        with Engine(source, executor=executor) as engine:
            try:
                yield engine
            except NotFoundError as error:
                raise _with_nearest_name(error, engine) from error


def _must_exist(url: str) -> None:
    from compox_core.storage import open_store

    store = open_store(url)
    try:
        empty = store.is_empty()
    finally:
        store.close()
    if empty:
        raise NotFoundError(
            f"There is no store at {url}: check --store, or make one by `compox-cli deploy PATH --store {url}`.",
            code="store_not_found",
            details={"store": url},
        )


def _with_nearest_name(error: NotFoundError, engine: Engine) -> NotFoundError:
    name = error.details.get("algorithm_name")
    if error.code != "algorithm_not_found" or not isinstance(name, str):
        return error
    known = {record.name for record in engine.algorithms.list()}
    if name in known:  # then it is the major version that is missing, and the message says so
        return error
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "`compox-cli list` shows what there is."
    return NotFoundError(
        f"{error.message} {hint}", code=error.code, details={**error.details, "nearest": near[0] if near else None}
    )

"""What a running algorithm stands in: its task, and the run it belongs to."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from compox_core.data import DataSchema
    from compox_core.runners.base import BaseRunner


class Handler(Protocol):
    """What a runner may ask of its task. `compox_core.tasks.TaskHandler` is the one that counts."""

    def log_message(self, message: str, logging_level: str = "INFO") -> None: ...
    def set_progress(self, progress: float) -> None: ...
    def fetch_data(
        self, file_ids: Sequence[str], schema: type[DataSchema], *keys: str, parallel: bool = False
    ) -> list[dict[str, Any]]: ...
    def post_data(
        self, data: Sequence[Mapping[str, Any]], schema: type[DataSchema], parallel: bool = False
    ) -> list[str]: ...
    def fetch_asset(self, asset_path: str) -> io.BytesIO: ...
    def open_asset(self, asset_path: str) -> BinaryIO: ...
    def save_item_to_session(self, obj: Any, key: str) -> None: ...
    def load_item_from_session(self, key: str) -> Any: ...
    def remove_item_from_session(self, key: str) -> None: ...


current_handler: ContextVar[Handler | None] = ContextVar("current_handler", default=None)
"""The task of the code that runs here; None outside a task."""

current_run: ContextVar[BaseRunner | None] = ContextVar("current_run", default=None)
"""The runner instance of the run that goes on here; None outside a run."""

current_runner_context: ContextVar[dict[str, Any] | None] = ContextVar("current_runner_context", default=None)
"""The per-run attributes of that instance, under the name that older algorithms import."""

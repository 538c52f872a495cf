"""What a run gives back: arrays, lists and dicts that show themselves in a notebook."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from compox_core.records import ExecutionRecord

MAX_PREVIEWS = 4


class ResultArray(np.ndarray[Any, Any]):
    """A numpy array that knows the run it came from.

    `outputs` holds the stored dicts, one a file, as the algorithm's output schema has them; `record` is the record of
    the run. Arrays computed from it keep neither.
    """

    outputs: list[dict[str, Any]]
    record: ExecutionRecord | None

    def __new__(
        cls, array: np.ndarray[Any, Any], outputs: list[dict[str, Any]], record: ExecutionRecord | None = None
    ) -> ResultArray:
        """Wrap `array` without copying it."""
        self = np.asarray(array).view(cls)
        self.outputs = outputs
        self.record = record
        return self

    def __array_finalize__(self, obj: Any) -> None:
        self.outputs = []
        self.record = None

    def _repr_html_(self) -> str:
        return _page(f"{self.shape}, {self.dtype}", [np.asarray(self)], self.record)


class ResultList(list[Any]):
    """A list with one entry for each output; `outputs` and `record` as in `ResultArray`."""

    def __init__(
        self, items: Iterable[Any], outputs: list[dict[str, Any]], record: ExecutionRecord | None = None
    ) -> None:
        super().__init__(items)
        self.outputs = outputs
        self.record = record

    def _repr_html_(self) -> str:
        return _page(f"{len(self)} results", _arrays(self), self.record)


class ResultDict(dict[str, Any]):
    """The one output of a run, by key; `outputs` and `record` as in `ResultArray`."""

    def __init__(
        self, items: Mapping[str, Any], outputs: list[dict[str, Any]], record: ExecutionRecord | None = None
    ) -> None:
        super().__init__(items)
        self.outputs = outputs
        self.record = record

    def _repr_html_(self) -> str:
        return _page(", ".join(self), _arrays(self.values()), self.record)


def _arrays(items: Iterable[Any]) -> list[np.ndarray[Any, Any]]:
    """Return the arrays among `items`, also those one level down."""
    found: list[np.ndarray[Any, Any]] = []
    for item in items:
        inner = item.values() if isinstance(item, Mapping) else [item]
        found += [value for value in inner if isinstance(value, np.ndarray) and value.ndim >= 2]
    return found


def _page(title: str, arrays: list[np.ndarray[Any, Any]], record: ExecutionRecord | None) -> str:
    from compox_core.data import to_png  # only where somebody looks

    pictures = [picture for array in arrays for picture in _pictures(array)]
    shown = "".join(
        f'<img style="image-rendering:pixelated;max-width:320px;margin:4px" alt="preview" '
        f'src="data:image/png;base64,{base64.b64encode(to_png(picture)).decode()}"/>'
        for picture in pictures[:MAX_PREVIEWS]
    )
    more = f"<div>… and {len(pictures) - MAX_PREVIEWS} more</div>" if len(pictures) > MAX_PREVIEWS else ""
    caption = html.escape(title)
    if record is not None and record.time_started and record.time_completed:
        seconds = (record.time_completed - record.time_started).total_seconds()
        caption += f" · {seconds:.2f} s on {html.escape(record.resolved_execution_device or '?')}"
    return f"<div><div>{caption}</div><div>{shown}</div>{more}</div>"


def _pictures(array: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Split an array into pictures: (H, W), RGB with channels first or last, or a stack of either."""
    if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "buif" or min(array.shape[:2]) == 0:
        return []
    single = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] == 3 or array.shape[-1] == 3))
    return [array] if single else [picture for part in array[: MAX_PREVIEWS + 1] for picture in _pictures(part)]

"""From what a scientist has to the request for a training sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from compox_core.engine.arranging import StoredFile, arrange_inputs
from compox_core.engine.following import misfit
from compox_core.engine.storing import Shelf, storing
from compox_core.errors import DataError
from compox_core.records import SampleRequest

Item = dict[str, Any] | Path | StoredFile
Group = Mapping[str, Any]


@contextmanager
def sample_request(files: Shelf, groups: Group | Sequence[Group], tags: Iterable[str] = ()) -> Iterator[SampleRequest]:
    """Store what is to be in a sample, and give the request for it; where the block raises, it is removed again.

    Args:
        files: Where it is stored.
        groups: What belongs together, by key; one group, or several with the same keys. A value, or each entry of a
            list of values, is the id of a stored file (or a `StoredFile`), a path, a dict of a schema, or an array. An
            HDF5 file is stored as it is, each picture of an image file as a file, a grey TIFF stack or an `.npy` of 3
            axes as one volume. An array of 2 axes is stored as `image`, and so is RGB, (3, H, W) or (H, W, 3), without
            an opaque alpha channel; one of 3 axes (Z, Y, X) as `volume`, any other as `data`.
        tags: Words to find the sample by; case does not count.

    Raises:
        InvalidInputError: `invalid_request` where groups have unequal keys or there is none; nothing is stored then.
        DataError: for a value that is none of these, or a file that cannot be read.
        NotFoundError: `input_not_found` for text that is neither a path nor an id.
    """
    listed = [groups] if isinstance(groups, Mapping) else list(groups)
    words = [tags] if isinstance(tags, str) else list(tags)
    _request([{key: [] for key in _group(group)} for group in listed], words)
    arranged = [{key: _items(value) for key, value in group.items()} for group in listed]
    with storing(files) as inputs:
        named = [{key: [inputs.id_of(item) for item in items] for key, items in group.items()} for group in arranged]
        yield _request(named, words)


def _items(value: Any) -> list[Item]:
    if isinstance(value, list | tuple):
        return [item for entry in value for item in _items(entry)]
    rgb = isinstance(value, np.ndarray) and value.ndim == 3 and (value.shape[0] == 3 or value.shape[-1] in (3, 4))
    return arrange_inputs(value, "Image2Image" if rgb else "Generic").items


def _group(group: Any) -> Group:
    if isinstance(group, Mapping):
        return group
    raise DataError(
        f"A group of a sample is a dict, like {{'input': image, 'target': mask}}, not {type(group).__name__}.",
        code="invalid_input",
    )


def _request(groups: list[dict[str, list[str]]], tags: list[str]) -> SampleRequest:
    try:
        return SampleRequest(files=groups, tags=tags)
    except ValidationError as error:
        raise misfit(error) from error

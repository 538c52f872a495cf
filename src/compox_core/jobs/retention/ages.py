"""How old things in a store may grow before they expire.

The ages are in the settings (`storage.*_expire_days`). A server writes those that it sweeps by into its store, so that
somebody who cleans the store without the server's configuration does not take what the server would keep.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from compox_core.errors import NotFoundError
from compox_core.settings.models import Days, Storage
from compox_core.storage import ALL, SYSTEM, ObjectStore

logger = logging.getLogger(__name__)

AGES_KEY = "retention"
_AGES = TypeAdapter(dict[str, Days])


def days_of(settings: Storage) -> dict[str, int]:
    """Return for each collection that expires how many days its objects are kept."""
    return {name: int(getattr(settings, _field(name))) for name in ALL if _field(name) in Storage.model_fields}


def ages(store: ObjectStore, settings: Storage) -> dict[str, timedelta]:
    """Return for each collection that expires how long its objects are kept.

    A key that somebody has set counts as it is. Of a default and of what the store's server goes by, the longer counts.
    """
    stored = _stored(store)
    chosen = {
        name: days if _field(name) in settings.model_fields_set else max(days, stored.get(name, days))
        for name, days in days_of(settings).items()
    }
    return {name: timedelta(days=days) for name, days in chosen.items()}


def tell(store: ObjectStore, settings: Storage) -> None:
    """Write into the store by which ages it is swept, where it does not say so."""
    days = days_of(settings)
    if _stored(store) != days:
        store.put(SYSTEM, AGES_KEY, json.dumps(days).encode())


def _field(collection: str) -> str:
    return f"{collection.replace('-', '_')}_expire_days"


def _stored(store: ObjectStore) -> dict[str, int]:
    try:
        return _AGES.validate_json(store.get(SYSTEM, AGES_KEY))
    except NotFoundError:
        return {}
    except ValidationError as error:
        logger.warning("The object %r in %r does not say how long things are kept: %s", AGES_KEY, SYSTEM, error)
        return {}

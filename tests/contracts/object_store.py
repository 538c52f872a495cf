"""What every object store does. A backend's test subclasses `ObjectStoreContract` and says how to look past it."""

from __future__ import annotations

from tests.contracts.backdoor import Backdoor
from tests.contracts.store_copies import CopiesContract
from tests.contracts.store_listing import ListingContract
from tests.contracts.store_objects import ObjectsContract
from tests.contracts.store_races import RacesContract
from tests.contracts.store_streams import StreamsContract

__all__ = ["Backdoor", "ObjectStoreContract"]


class ObjectStoreContract(ObjectsContract, StreamsContract, CopiesContract, ListingContract, RacesContract):
    """The whole contract.

    A subclass has the fixtures `store`, made ready, and `backdoor`, and for a store that processes share `opened`,
    the arguments of `open_store` in another process.
    """

    part = 1024

"""What tests of bundles share: the stores and the packages of the tests of algorithms, and small disks."""

from __future__ import annotations

from tests.algorithms.conftest import any_store, package, store
from tests.disks import small_disk

__all__ = ["any_store", "package", "small_disk", "store"]

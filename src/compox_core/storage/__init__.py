"""Where everything is kept: collections of objects in memory, in a folder or on S3, and typed views of them."""

from compox_core.storage.collections import (
    ALGORITHMS,
    ALL,
    ASSETS,
    BENCHMARKS,
    CHECKPOINTS,
    DEPLOYS,
    EXECUTIONS,
    FILES,
    MODULES,
    SAMPLES,
    STOP_REQUESTS,
    SYSTEM,
    TRAININGS,
)
from compox_core.storage.emergency import EmergencyRecords
from compox_core.storage.files import FileInfo, FileStore
from compox_core.storage.kept import Kept
from compox_core.storage.marker import initialise, store_identity
from compox_core.storage.objects import ObjectInfo, ObjectStore
from compox_core.storage.opening import open_store
from compox_core.storage.records import RecordStore

__all__ = [
    "ALGORITHMS",
    "ALL",
    "ASSETS",
    "BENCHMARKS",
    "CHECKPOINTS",
    "DEPLOYS",
    "EXECUTIONS",
    "FILES",
    "MODULES",
    "SAMPLES",
    "STOP_REQUESTS",
    "SYSTEM",
    "TRAININGS",
    "EmergencyRecords",
    "FileInfo",
    "FileStore",
    "Kept",
    "ObjectInfo",
    "ObjectStore",
    "RecordStore",
    "initialise",
    "open_store",
    "store_identity",
]

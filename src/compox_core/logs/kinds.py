"""Of which part of the product a line is, in the words that people filter logs by."""

from __future__ import annotations

from functools import lru_cache

DEFAULT = "DEFAULT"
MINIO = "MINIO"

# The longest name of a logger that fits decides.
_KINDS = {
    "compox.task": "TASK",
    "compox_core.tasks": "TASK",
    "compox_core.jobs": "TASK",
    "compox_core.jobs.celery": "CELERY",
    "compox_core.jobs.celery_worker": "CELERY",
    "compox_core.jobs.flower": "CELERY",
    "compox_core.minio": MINIO,
    "compox_core.storage": "DB",
    "compox_core.storage.minio": MINIO,
    "compox_core.algorithms": "ALGORITHM MANAGER",
    "compox_core.algorithms.packing": "DEPLOYER",
    "compox_core.algorithms.minors": "DEPLOYER",
    "compox_core.algorithms.publishing": "DEPLOYER",
    "compox_core.algorithms.registry": "DEPLOYER",
    "compox_core.algorithms.exporting": "EXPORTER",
    "compox_core.engine.algorithms": "ALGORITHM MANAGER",
    "compox_core.engine.deploys": "DEPLOYER",
    "compox_http.access": "UVICORN",
    "uvicorn": "UVICORN",
    "litestar": "UVICORN",
    "asyncio": "UVICORN",
    "celery": "CELERY",
    "kombu": "CELERY",
    "amqp": "CELERY",
    "billiard": "CELERY",
    "flower": "CELERY",
    "s3fs": "DB",
    "botocore": "DB",
    "aiobotocore": "DB",
}


@lru_cache(1024)
def kind_of(logger: str) -> str:
    """Return the type of the lines of a logger: DEFAULT, UVICORN, CELERY, MINIO, DB, TASK, DEPLOYER and so on."""
    name = logger
    while name not in _KINDS:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return DEFAULT
    return _KINDS[name]

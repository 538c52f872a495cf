"""A MinIO that lives as long as the engine that started it."""

from compox_core.storage.minio.server import MinioServer
from compox_core.storage.minio.starting import start_minio

__all__ = ["MinioServer", "start_minio"]

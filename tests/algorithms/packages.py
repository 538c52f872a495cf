"""Small packed algorithms for tests of the registry, made without packing anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from compox_core.algorithms.config import AlgorithmConfig
from compox_core.algorithms.packing import AlgorithmPackage, PackedAsset
from compox_core.records import AlgorithmMetadata


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


class PackageMaker:
    """Makes packages whose module archive and assets are files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, data: bytes) -> Path:
        """Return a file with this content."""
        path = self.folder / digest(data)
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path

    def __call__(
        self,
        name: str = "denoise",
        major: str = "1",
        minor: int = 0,
        *,
        code: bytes = b"code",
        assets: Mapping[str, bytes] | None = None,
        metadata: AlgorithmMetadata | None = None,
        removable: bool = True,
        exportable: bool = True,
    ) -> AlgorithmPackage:
        packed = {path: PackedAsset(digest(data), len(data), self.file(data)) for path, data in (assets or {}).items()}
        return AlgorithmPackage(
            config=AlgorithmConfig(
                name=name,
                major=major,
                minor=minor,
                metadata=metadata or AlgorithmMetadata(),
                removable=removable,
                exportable=exportable,
            ),
            module_id=digest(b"module" + code),
            module_archive=self.file(code),
            module_sha256=digest(code),
            module_size=len(code),
            python=None,
            assets=packed,
            warnings=[],
            root=self.folder,
        )

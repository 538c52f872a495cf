"""What the registry stores of an algorithm. A minor version is immutable; everything else is small and separate."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records.parameter import Parameter

Device = Literal["cpu", "gpu", "mps"]


class _Stored(BaseModel):
    """Read once and handed out to many: not to be changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class AlgorithmMetadata(_Stored):
    """What `[tool.compox]` says about an algorithm. It belongs to a minor version.

    `timeout_s` limits its jobs, in seconds of running. `retry` is how many more times a job may begin when its worker
    is lost.
    """

    algorithm_type: str = "Undefined"
    tags: list[str] = Field(default_factory=list)
    description: str = ""
    supported_devices: list[Device] = ["cpu"]
    default_device: Device = "cpu"
    additional_parameters: list[Parameter] = Field(default_factory=list)
    training_parameters: list[Parameter] = Field(default_factory=list)
    benchmark_outputs: list[Parameter] = Field(default_factory=list)
    timeout_s: float | None = None
    retry: int = 0


class ModuleEntry(_Stored):
    """The code of a minor version: a zip of `.py` or `.pyc` files relative to the algorithm's root.

    `module_id` is the SHA-256 over the source before minifying plus the options; `key` is where the archive lies in
    `module-store`, `sha256` and `size` (bytes) are those of the archive. `python` is "3.11" where the archive holds
    compiled code of that Python, else None.
    """

    module_id: str
    key: str
    sha256: str
    size: int
    python: str | None = None


class AssetEntry(_Stored):
    """One asset: SHA-256 of its content, its key in `asset-store`, its size in bytes."""

    sha256: str
    key: str
    size: int


class AlgorithmVersion(_Stored):
    """One minor version, written once and never changed. `assets` maps paths with `/` separators to contents."""

    algorithm_id: str
    name: str
    major: str
    minor: int
    created: datetime
    metadata: AlgorithmMetadata
    module: ModuleEntry
    assets: dict[str, AssetEntry] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)


class AlgorithmHead(_Stored):
    """What is said once of an algorithm, by its first deploy: the name as it is displayed, and the major version."""

    algorithm_id: str
    name: str
    major: str
    created: datetime


class AlgorithmFlags(_Stored):
    """What a deploy request may set on unchanged content; the last deploy wins."""

    removable: bool = False
    exportable: bool = True


class StorageMetrics(_Stored):
    """How many bytes an algorithm's minor versions name, each content counted once."""

    logical_size_bytes: int = 0
    module_bytes: int = 0
    asset_bytes: int = 0
    checkpoint_manifest_bytes: int = 0
    module_count: int = 0
    asset_count: int = 0
    checkpoint_count: int = 0
    last_recomputed_at: datetime


class AlgorithmRecord(_Stored):
    """An algorithm as a reader sees it: its living minor versions in rising order, its latest metadata, its flags."""

    algorithm_id: str
    name: str
    major: str
    minors: list[int]
    latest_minor: int
    created: datetime
    metadata: AlgorithmMetadata
    removable: bool
    exportable: bool
    storage_metrics: StorageMetrics

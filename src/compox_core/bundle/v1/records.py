"""What bundles of version 1 say of algorithms and checkpoints, and what that means here."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from compox_core.algorithms.shelves import HIGHEST_MINOR
from compox_core.bundle.snapshot import BundledAlgorithm
from compox_core.bundle.v1.documents import Time, issues_of, parse_object
from compox_core.identity import is_id
from compox_core.records import (
    AlgorithmFlags,
    AlgorithmMetadata,
    AlgorithmVersion,
    AssetEntry,
    CheckpointRecord,
    ModuleEntry,
    Parameter,
)
from compox_core.records.algorithm import Device
from compox_core.storage.keys import is_key


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError("must be an id, as in 910dd5fa-e53f-11f1-b09e-02fc00000001")
    return text


def _key(text: str) -> str:
    if not is_key(text) or "/" in text:
        raise ValueError("must be letters, digits, '.', '_' and '-'")
    return text


def _paths(assets: dict[str, str]) -> dict[str, str]:
    for path in assets:
        parts = path.split("/")
        if path.startswith("/") or "\\" in path or ":" in path or ".." in parts:
            raise ValueError(f"{path!r} would leave the algorithm's folder")
        if any(part in ("", ".") for part in parts) or any(unicodedata.category(each) == "Cc" for each in path):
            raise ValueError(f"{path!r} is no path of a file")
    return assets


Id = Annotated[str, AfterValidator(_id)]
Paths = Annotated[dict[str, str], AfterValidator(_paths)]
Minor = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]


class _Theirs(BaseModel):
    """Numbers were once written where texts are now, and null is absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class TheirMinor(_Theirs):
    """A minor version: when it was deployed, its module, its assets' keys by path."""

    timestamp: Time | None = None
    module_id: Annotated[str, AfterValidator(_key)]
    assets: Paths = Field(default_factory=dict)


class TheirAlgorithm(_Theirs):
    """An algorithm with all its minor versions. What it says of itself is that of the latest."""

    algorithm_id: Id
    algorithm_name: str
    algorithm_major_version: str
    algorithm_minor_version: dict[Minor, TheirMinor]
    algorithm_type: str = "Undefined"
    algorithm_tags: list[str] = Field(default_factory=list)
    algorithm_description: str = ""
    supported_devices: list[Device] = Field(default_factory=list)
    default_device: str = ""
    additional_parameters: list[Parameter] = Field(default_factory=list)
    training_parameters: list[Parameter] = Field(default_factory=list)
    benchmark_outputs: list[Parameter] = Field(default_factory=list)
    removable: bool = False
    exportable: bool = True
    timestamp: Time | None = None
    checkpoints: list[str] = Field(default_factory=list)

    @property
    def metadata(self) -> AlgorithmMetadata:
        """What a deploy of it would say."""
        devices = self.supported_devices or ["cpu"]
        return AlgorithmMetadata(
            algorithm_type=self.algorithm_type,
            tags=self.algorithm_tags,
            description=self.algorithm_description,
            supported_devices=devices,
            default_device=next((device for device in devices if device == self.default_device), devices[0]),
            additional_parameters=self.additional_parameters,
            training_parameters=self.training_parameters,
            benchmark_outputs=self.benchmark_outputs,
        )


class TheirCheckpoint(_Theirs):
    """A checkpoint, its assets' keys by path. The minor version that was trained is ours to say."""

    checkpoint_id: Id
    training_id: Annotated[str, AfterValidator(_key)]
    assets: Paths
    created_at: Time | None = None
    properties: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    parent_checkpoint_id: Id | None = None
    algorithm_minor_version: Minor | None = None


def parse_algorithm(key: str, data: bytes) -> tuple[TheirAlgorithm | None, list[str]]:
    """Return the record of an algorithm, None where there is none in it, and what is wrong with it.

    Its key is `<id>~<name>~<major>`; in old stores a minor version followed.
    """
    what = f"The algorithm {key!r}"
    try:
        record = TheirAlgorithm.model_validate(parse_object(data))
    except ValidationError as error:
        return None, issues_of(error, what)
    except ValueError as error:
        return None, [f"{what} {error}"]
    issues = []
    expected = f"{record.algorithm_id}~{record.algorithm_name}~{record.algorithm_major_version}"
    old = key.removeprefix(f"{expected}~")
    if key != expected and not (old != key and old.isdecimal()):
        issues.append(f"{what} is {expected!r} by its own record")
    if not record.algorithm_minor_version:
        issues.append(f"{what} has no minor version")
    numbers = [int(minor) for minor in record.algorithm_minor_version]
    if len(set(numbers)) < len(numbers) or max(numbers, default=0) > HIGHEST_MINOR:
        issues.append(f"{what} has minor versions that are no numbers of their own: {sorted(numbers)}")
    return record, issues


def parse_checkpoint(key: str, data: bytes) -> tuple[TheirCheckpoint | None, list[str]]:
    """Return the record of a checkpoint, None where there is none in it, and what is wrong with it."""
    what = f"The checkpoint {key!r}"
    try:
        record = TheirCheckpoint.model_validate(parse_object(data))
    except ValidationError as error:
        return None, issues_of(error, what)
    except ValueError as error:
        return None, [f"{what} {error}"]
    issues = [] if record.checkpoint_id == key else [f"{what} is {record.checkpoint_id!r} by its own record"]
    return record, issues


def bundled(
    record: TheirAlgorithm,
    checkpoints: Mapping[str, TheirCheckpoint],
    module: Callable[[str], ModuleEntry],
    asset: Callable[[str], AssetEntry],
    created: datetime,
) -> BundledAlgorithm:
    """Return an algorithm as a snapshot has it.

    Args:
        checkpoints: Those that are its own, with all that they go back to, by id.
        module: Tells of a module by its key.
        asset: Tells of an asset by its key.
        created: Stands in for times that nobody noted.
    """
    since = record.timestamp or created
    minors = sorted(record.algorithm_minor_version.items(), key=lambda item: int(item[0]))
    return BundledAlgorithm(
        algorithm_id=record.algorithm_id,
        name=record.algorithm_name,
        major=record.algorithm_major_version,
        created=since,
        flags=AlgorithmFlags(removable=record.removable, exportable=record.exportable),
        versions=[
            AlgorithmVersion(
                algorithm_id=record.algorithm_id,
                name=record.algorithm_name,
                major=record.algorithm_major_version,
                minor=int(number),
                created=minor.timestamp or since,
                metadata=record.metadata,
                module=module(minor.module_id),
                assets={path: asset(key) for path, key in minor.assets.items()},
            )
            for number, minor in minors
        ],
        checkpoints=[
            CheckpointRecord(
                checkpoint_id=each.checkpoint_id,
                parent_algorithm_id=record.algorithm_id,
                training_id=each.training_id,
                algorithm_minor_version=each.algorithm_minor_version,
                parent_checkpoint_id=each.parent_checkpoint_id,
                created_at=each.created_at or since,
                properties=each.properties,
                tags=each.tags,
                assets={path: asset(key) for path, key in each.assets.items()},
            )
            for each in checkpoints.values()
        ],
    )

"""`pyproject.toml` of an algorithm: its name, its version, and `[tool.compox]`."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from typing import Any, get_args

from compox_core.algorithms.declarations import declared_parameters
from compox_core.algorithms.findings import Findings, short
from compox_core.algorithms.naming import check_name
from compox_core.errors import PackageError
from compox_core.records import AlgorithmMetadata
from compox_core.records.algorithm import Device

ALGORITHM_TYPES = (
    "Image2Alignment",
    "Image2Image",
    "Image2Segmentation",
    "Image2MultiRegionSegmentation",
    "Image2Embedding",
    "Segmentation2Segmentation",
    "Generic",
    "Undefined",
)
DEVICES = get_args(Device)
PARAMETER_LISTS = ("additional_parameters", "training_parameters", "benchmark_outputs")
OPTIONS = {"removable": False, "exportable": True, "check_importable": False, "obfuscate": True, "pyc_only": False}
DEPRECATED = ("hash_module", "hash_assets")
KNOWN = (
    *("algorithm_type", "tags", "description", "supported_devices", "default_device", "timeout_s", "retry"),
    *PARAMETER_LISTS,
    *OPTIONS,
    *DEPRECATED,
)
MOST_RETRIES = 10
NUMBER = re.compile(r"0*(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class AlgorithmConfig:
    """What `pyproject.toml` says; see docs/reference/pyproject.md."""

    name: str
    major: str
    minor: int
    metadata: AlgorithmMetadata
    removable: bool = False
    exportable: bool = True
    obfuscate: bool = True
    pyc_only: bool = False
    check_importable: bool = False


def parse_pyproject(
    text: str | bytes, where: str, *, name: str | None = None, major: str | None = None
) -> tuple[AlgorithmConfig, list[str]]:
    """Return the configuration of an algorithm and the warnings about it.

    Args:
        text: The content of `pyproject.toml`.
        where: How the file is named in messages.
        name: A name in place of `project.name`.
        major: A major version in place of that in `project.version`.

    Raises:
        PackageError: `invalid_pyproject`; `details["issues"]` lists everything that is wrong. `invalid_algorithm_name`.
    """
    document = _parse(text, where)
    found = Findings()
    project = found.typed(document.get("project", {}), dict, "[project]", {})
    tool = found.typed(document.get("tool", {}), dict, "[tool]", {})
    section = found.typed(tool.get("compox", {}), dict, "[tool.compox]", {})
    if not section:
        found.warn("[tool.compox] is missing or empty: defaults are used for all of it")
    given_name = name if name is not None else _required(project, "name", found)
    version = _version(_required(project, "version", found), major, found)
    metadata = _metadata(section, found)
    options = {
        key: found.typed(section.get(key, default), bool, f"tool.compox.{key}", default)
        for key, default in OPTIONS.items()
    }
    _note_unknown(section, found)
    try:
        checked = check_name(given_name, f"{where}: project.name" if name is None else "The name")
    except PackageError as error:
        if not found.issues:
            raise
        if given_name:  # else it is among the issues
            found.issues.insert(0, error.message)
    if found.issues:
        raise PackageError(
            f"{where} cannot be used:\n" + "\n".join(f"  {issue}" for issue in found.issues),
            code="invalid_pyproject",
            details={"issues": found.issues},
        )
    return AlgorithmConfig(checked, *version, metadata, **options), found.warnings


def _parse(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text (byte {error.start})"
    except tomllib.TOMLDecodeError as error:
        problem = f"it is not valid TOML: {error}"
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:  # a number of thousands of digits
        problem = f"it is not valid TOML: {error}"
    raise PackageError(f"{where} cannot be read: {problem}.", code="invalid_pyproject", details={"issues": [problem]})


def _required(project: dict[str, Any], key: str, found: Findings) -> str:
    if key not in project:
        dynamic = project.get("dynamic")
        hint = "; a dynamic one is not computed here" if isinstance(dynamic, list) and key in dynamic else ""
        found.issues.append(f"project.{key} is missing{hint}")
        return ""
    text: str = found.typed(project[key], str, f"project.{key}", "")
    if not text and project[key] == "":
        found.issues.append(f"project.{key} is empty")
    return text


def _version(text: str, major: str | None, found: Findings) -> tuple[str, int]:
    parts = text.split(".", 2)
    if text and len(parts) < 2:
        found.issues.append(f"project.version needs a minor version: write MAJOR.MINOR, as in '1.0', not {short(text)}")
        return "0", 0
    own_major, minor = (_number(part) for part in parts[:2]) if text else (0, 0)
    if own_major is None or minor is None or (len(parts) > 2 and not parts[2]):
        found.issues.append(
            "project.version must be MAJOR.MINOR, two whole numbers of at most 9 digits (a third part is ignored), "
            f"not {short(text)}"
        )
        return "0", 0
    if major is not None:
        own_major = _number(major)
        if own_major is None:
            found.issues.append(f"the major version must be a whole number of at most 9 digits, not {short(major)}")
    return str(own_major), minor


def _number(text: str) -> int | None:
    match = NUMBER.fullmatch(text)
    return int(match[1]) if match else None


def _metadata(section: dict[str, Any], found: Findings) -> AlgorithmMetadata:
    kind = found.typed(section.get("algorithm_type", "Undefined"), str, "tool.compox.algorithm_type", "Undefined")
    found.choice(kind, ALGORITHM_TYPES, "tool.compox.algorithm_type")
    tags = found.strings(section.get("tags", []), "tool.compox.tags")
    description = found.typed(section.get("description", ""), str, "tool.compox.description", "")
    for key in ("algorithm_type", "tags", "description") if section else ():
        if not section.get(key):
            found.warn(f"tool.compox.{key} is not set")
    devices, default = _devices(section, found)
    timeout, retry = _limits(section, found)
    lists = {key: declared_parameters(section.get(key, []), f"tool.compox.{key}", found) for key in PARAMETER_LISTS}
    if found.issues:
        return AlgorithmMetadata()
    return AlgorithmMetadata(
        algorithm_type=kind,
        tags=tags,
        description=description,
        supported_devices=devices,
        default_device=default,
        timeout_s=timeout,
        retry=retry,
        **lists,
    )


def _limits(section: dict[str, Any], found: Findings) -> tuple[float | None, int]:
    timeout, retry = section.get("timeout_s"), section.get("retry", 0)
    if timeout is not None and not (_is_number(timeout, int | float) and 0 < timeout <= sys.float_info.max):
        found.issues.append(f"tool.compox.timeout_s must be a number of seconds greater than 0, not {short(timeout)}")
        timeout = None
    if not (_is_number(retry, int) and 0 <= retry <= MOST_RETRIES):
        found.issues.append(f"tool.compox.retry must be a whole number from 0 to {MOST_RETRIES}, not {short(retry)}")
        retry = 0
    return None if timeout is None else float(timeout), retry


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _devices(section: dict[str, Any], found: Findings) -> tuple[list[Any], Any]:
    place = "tool.compox.supported_devices"
    value = section.get("supported_devices", ["cpu"])
    devices = [device for device in found.strings(value, place) if found.choice(device, DEVICES, place)]
    if not devices:
        if value == []:
            found.issues.append(f"{place} must name at least one device")
        return ["cpu"], "cpu"
    fallback = "cpu" if "cpu" in devices else devices[0]
    default = found.typed(section.get("default_device", fallback), str, "tool.compox.default_device", fallback)
    if default not in devices:
        found.issues.append(
            f"tool.compox.default_device {default!r} is not among supported_devices ({', '.join(devices)})"
        )
    return list(dict.fromkeys(devices)), default


def _note_unknown(section: dict[str, Any], found: Findings) -> None:
    for key in DEPRECATED:
        if key in section:
            found.warn(f"tool.compox.{key} is deprecated and not used: contents always go by their hash")
    found.note_unknown(section, KNOWN, "tool.compox")

"""What `import compox_core` offers, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import compox_core

PUBLIC = {
    "AlgorithmError",
    "AlgorithmRecord",
    "AlgorithmVersion",
    "CheckpointRecord",
    "CompoxError",
    "ConflictError",
    "DataError",
    "Deployment",
    "Engine",
    "ExecutionRecord",
    "ExecutionRequest",
    "InvalidInputError",
    "MetricHistory",
    "MissingExtraError",
    "NotFoundError",
    "PackageError",
    "ParameterError",
    "ResultArray",
    "ResultDict",
    "ResultList",
    "SampleRecord",
    "Settings",
    "SettingsError",
    "StateError",
    "StorageError",
    "TaskFailedError",
    "TaskHandle",
    "TaskStatus",
    "TaskStoppedException",
    "TrainingHandle",
    "TrainingRecord",
    "TrainingRequest",
    "__version__",
    "debug",
    "load_settings",
}

OPTIONAL = {"torch", "litestar", "uvicorn", "click", "rich", "celery", "s3fs", "httpx", "httpx2", "tifffile", "PIL"}
HEAVY = {"numpy", "h5py", "pydantic", "fsspec", "yaml", "tqdm", "skimage", "matplotlib"}


def test_the_public_api_is_what_all_says() -> None:
    """Adding a name to the top level is a decision, so this list has it, too."""
    assert set(compox_core.__all__) == PUBLIC
    assert len(compox_core.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    """A name that is loaded when it is first used does load, and `dir` shows it."""
    assert getattr(compox_core, name) is not None
    assert name in dir(compox_core)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typing error in a name is reported as in any other module."""
    with pytest.raises(AttributeError, match=r"compox_core.*Enginge"):
        compox_core.Enginge  # noqa: B018


def loaded_after(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_an_import_loads_next_to_nothing() -> None:
    """A program that imports compox_core pays for what it uses, when it uses it."""
    assert not loaded_after("import compox_core") & (OPTIONAL | HEAVY)


def test_an_engine_needs_no_optional_package() -> None:
    """The engine works with the bare dependencies: no transport, no image library, no S3."""
    assert not loaded_after("import compox_core; compox_core.Engine('memory://').open().close()") & OPTIONAL


def test_the_client_needs_no_server() -> None:
    """A program that talks to a server does not load one."""
    assert not loaded_after("import compox_http.client") & {"litestar", "uvicorn", "click", "torch", "celery"}

"""From which folders of this machine an algorithm may be deployed when a client names a path."""

from __future__ import annotations

import os
from pathlib import Path

from compox_core.errors import ConflictError
from compox_core.records.plain import encodable
from compox_core.settings import Settings


def allowed_path(settings: Settings, path: str) -> Path:
    """Return the real path that a client named, where it lies in one of the folders that the settings allow.

    These are `deploy.allowed_roots`, and where that names none `deploy_algorithms_from`. A path outside is refused by
    its text, before anything on the disk is looked at, so that nobody learns what is there; one that leaves through a
    link is refused all the same.

    Raises ConflictError (`deploy_path_not_allowed`).
    """
    roots = [Path(root).expanduser() for root in settings.deploy.allowed_roots or [settings.deploy_algorithms_from]]
    if "\0" not in path:
        for root in roots:
            lexical, real = _by_text(root), root.resolve()
            named = _by_text(path)
            if not (named.is_relative_to(lexical) or named.is_relative_to(real)):
                continue
            found = _resolved(named)
            if found is not None and found.is_relative_to(real):
                return found
    folders = ", ".join(f"'{root}'" for root in roots)
    raise ConflictError(
        f"The path '{encodable(path)}' may not be deployed by request: it does not lie in {folders}. Add its "
        "folder to deploy.allowed_roots in the server's configuration, or send a zip to POST /api/v1/algorithms.",
        code="deploy_path_not_allowed",
        details={"path": encodable(path)},
    )


def _by_text(path: str | Path) -> Path:
    """Return an absolute path without `..`, by its text alone: the disk is not asked, nor a server in the network."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would ask


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links; characters that no file's name can have
        return None

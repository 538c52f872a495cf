"""Which Python the code in a bundle needs."""

from __future__ import annotations

from compox_core.algorithms.transform import HERE
from compox_core.bundle.snapshot import Snapshot
from compox_core.errors import InvalidInputError


def check_python(snapshot: Snapshot) -> None:
    """Refuse code that was compiled for another Python than this one; source runs on all of them.

    Raises InvalidInputError (`python_version_mismatch`) that names both, and what is compiled so.
    """
    found = {
        f"{version.name} {version.major}.{version.minor}": version.module.python
        for algorithm in snapshot.algorithms
        for version in algorithm.versions
        if version.module.python not in (None, HERE)
    }
    if found:
        compiled = ", ".join(f"{name} for Python {python}" for name, python in list(found.items())[:8])
        rest = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise InvalidInputError(
            f"The bundle holds compiled code ({compiled}{rest}) and this is Python {HERE}: import it with that Python, "
            "or have it built from algorithms that were deployed with pyc_only = false.",
            code="python_version_mismatch",
            details={"compiled_for": found, "running": HERE},
        )

"""Bundles as people read them: rows of tables, lines of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from compox_cli.describe import count, size

if TYPE_CHECKING:
    from compox_core.bundle.comparing import AlgorithmDiff
    from compox_core.bundle.opening import BundleInfo
    from compox_core.bundle.plan import ImportPlan, ImportReport
    from compox_core.bundle.snapshot import BundledAlgorithm, Snapshot

ALGORITHM_COLUMNS = ("name", "major", "minors", "checkpoints", "size", "code")
DIFF_COLUMNS = ("name", "major", "in the bundle", "here", "differs")
OPENERS = {"key": "a key", "passphrase": "a passphrase", "recipient": "an identity"}


def facts(info: BundleInfo) -> list[tuple[str, str]]:
    """Return what there is to say of a bundle but its algorithms."""
    sure = "" if info.authentic else " (anybody may have written that)"
    told = [("format", str(info.version)), ("size", size(info.size)), ("opened by", openers(info.opened_by))]
    if info.created is not None:
        told.append(("built", f"{info.created:%Y-%m-%d %H:%M} UTC by {info.made_by or 'an unknown program'}{sure}"))
    if info.snapshot is not None:
        told.append(("signed by", info.signer or "nobody"))
    elif info.names is not None:
        told.append(("algorithms", f"{', '.join(info.names) or 'none'}{sure}"))
    return told


def openers(kinds: Sequence[str]) -> str:
    """Return what opens a bundle: `a key, or 2 identities`."""
    words = []
    for kind in dict.fromkeys(kinds):
        number, name = kinds.count(kind), OPENERS.get(kind, kind)
        words.append(name if number == 1 else f"{number} {_plural(name)}")
    return ", or ".join(words)


def _plural(name: str) -> str:
    noun = name.split()[-1]
    return f"{noun[:-1]}ies" if noun.endswith("ty") else f"{noun}s"


def algorithm_rows(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Return the algorithms of a bundle as rows of `ALGORITHM_COLUMNS`."""
    return [
        (
            each.name,
            each.major,
            ", ".join(str(version.minor) for version in each.versions),
            str(len(each.checkpoints)),
            size(_bytes(each)),
            _code(each),
        )
        for each in snapshot.algorithms
    ]


def _bytes(each: BundledAlgorithm) -> int:
    """Return the bytes of the contents that an algorithm names, each counted once."""
    from compox_core.bundle.snapshot import contents_of

    return sum(content.size for content in contents_of(each.versions, each.checkpoints))


def _code(each: BundledAlgorithm) -> str:
    pythons = sorted({version.module.python for version in each.versions if version.module.python is not None})
    return f"compiled for Python {', '.join(pythons)}" if pythons else "source"


def algorithm_names(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return which algorithms there are, for programs."""
    return [
        {
            "name": each.name,
            "major": each.major,
            "minors": [version.minor for version in each.versions],
            "checkpoints": [checkpoint.checkpoint_id for checkpoint in each.checkpoints],
        }
        for each in snapshot.algorithms
    ]


def diff_row(each: AlgorithmDiff) -> tuple[str, ...]:
    """Return how one algorithm differs, as a row of `DIFF_COLUMNS`."""
    there, here = (("-" if minor is None else str(minor)) for minor in (each.bundle_minor, each.store_minor))
    differs = ", ".join(each.differs) if each.state == "differs" else "nothing" if each.state == "same" else each.state
    return each.name, each.major, there, here, differs


def plan_lines(plan: ImportPlan) -> list[str]:
    """Return what an import would change."""
    sizes = f"{count(plan.missing, 'content')} ({size(plan.missing_bytes)}) to store"
    return [*_algorithms(plan.algorithms), f"{sizes}, {plan.held} ({size(plan.held_bytes)}) there already"]


def report_lines(report: ImportReport) -> list[str]:
    """Return what an import did."""
    stored = f"{count(report.stored, 'content')} ({size(report.stored_bytes)}) stored"
    return [*_algorithms(report.algorithms), stored if report.changes else "Nothing was changed."]


def _algorithms(algorithms: Iterable[object]) -> list[str]:
    return [str(each) for each in algorithms]

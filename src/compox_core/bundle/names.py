"""The names that the algorithms of a bundle are to have in a store, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compox_core.algorithms.naming import check_name
from compox_core.bundle.snapshot import BundledAlgorithm, Snapshot
from compox_core.errors import ConflictError, InvalidInputError, PackageError
from compox_core.identity import algorithm_id
from compox_core.records.plain import written


@dataclass(frozen=True)
class Issue:
    """One thing that speaks against an import, with the code of the error that it would be alone."""

    code: str
    message: str


@dataclass(frozen=True)
class Named:
    """An algorithm of a bundle under the name that it is to have here."""

    bundled: BundledAlgorithm
    name: str

    @property
    def identifier(self) -> str:
        """The id that it has here."""
        return algorithm_id(self.name, self.bundled.major)

    def __str__(self) -> str:
        return f"{self.bundled.name} {self.bundled.major}"


def named(snapshot: Snapshot, rename: dict[str, str], issues: list[Issue]) -> list[Named]:
    """Return the algorithms of a bundle under the names that they are to have; report what is wrong with these."""
    unknown = sorted(rename.keys() - {each.name for each in snapshot.algorithms})
    for name in unknown:
        there = ", ".join(sorted({each.name for each in snapshot.algorithms}))
        issues.append(
            Issue(
                "unknown_algorithm", f"{written(name)} is to be renamed and is not in the bundle, which has: {there}."
            )
        )
    found = []
    for each in snapshot.algorithms:
        name = rename.get(each.name, each.name)
        try:
            name = check_name(name)
        except PackageError as error:
            issues.append(Issue(error.code, f"{error.message} Import it under another name (rename)."))
        found.append(Named(each, name))
    _check_alike(found, issues)
    return found


def _check_alike(named: Iterable[Named], issues: list[Issue]) -> None:
    """Report names of the bundle that differ by case only, and algorithms that would become one."""
    spelled: dict[str, Named] = {}
    seen: dict[str, Named] = {}
    for each in named:
        first = spelled.setdefault(each.name.casefold(), each)
        other = seen.setdefault(each.identifier, each)
        if first.name != each.name:
            issues.append(
                Issue(
                    "algorithm_name_conflict",
                    f"'{first.name}' and '{each.name}' in the bundle differ by case only: rename one of them.",
                )
            )
        elif other is not each:
            issues.append(
                Issue(
                    "algorithm_name_conflict",
                    f"{other} and {each} of the bundle would both be '{each.name}' {each.bundled.major} here: rename "
                    "one of them.",
                )
            )


def check_spelling(each: Named, name: str, issues: list[Issue]) -> None:
    """Report a name of the bundle that differs by case only from the `name` of an algorithm that is here."""
    if name != each.name:
        issues.append(
            Issue(
                "algorithm_name_conflict",
                f"'{each.name}' {each.bundled.major} of the bundle differs by case only from '{name}', which is here: "
                f"rename it to '{name}' to add to that, or to something else.",
            )
        )


def refused(issues: list[Issue]) -> InvalidInputError | ConflictError:
    """Return the error for all that speaks against an import."""
    codes = {issue.code for issue in issues}
    code = codes.pop() if len(codes) == 1 else "bundle_not_importable"
    message = "The bundle was not imported, and nothing was changed:\n" + "\n".join(
        f"  {each.message}" for each in issues
    )
    details = {"issues": [{"code": each.code, "message": each.message} for each in issues]}
    kind = ConflictError if code == "checkpoint_conflict" else InvalidInputError
    return kind(message, code=code, details=details)

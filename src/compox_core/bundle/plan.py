"""What an import would do, or has done, for people and for programs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compox_core.records import AlgorithmFlags


class AlgorithmPlan(BaseModel):
    """What happens to one algorithm of a bundle.

    `name`, `major` and `algorithm_id` are those here, `bundled_name` and `bundled_id` those in the bundle. `step` is
    "new" where all versions of the bundle come, under their numbers, "minor" where its latest is added to those that
    are there, "none" where that is there. `minors` maps the numbers in the bundle of what is added to those here, as
    things stand; `flags` are the new ones where they change. `checkpoints` are the ids of those that come, `known` of
    those that are there. `alias` says that the bundle's id will mean this algorithm.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    major: str
    algorithm_id: str
    bundled_name: str
    bundled_id: str
    step: Literal["new", "minor", "none"]
    minors: dict[int, int] = Field(default_factory=dict)
    flags: AlgorithmFlags | None = None
    checkpoints: list[str] = Field(default_factory=list)
    known: list[str] = Field(default_factory=list)
    alias: bool = False
    resumed: bool = False
    notes: list[str] = Field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether anything would be other than before."""
        return bool(self.minors or self.flags or self.checkpoints or self.alias)

    def __str__(self) -> str:
        return "; ".join([f"{self.name} {self.major}: {', '.join(self._said())}", *self.notes])

    def _said(self) -> list[str]:
        said = []
        if self.bundled_name != self.name:
            said.append(f"was {self.bundled_name}")
        if self.minors:
            numbers = ", ".join(
                str(here) if here == there else f"{here} (there {there})" for there, here in self.minors.items()
            )
            new = "new, " if self.step == "new" and not self.resumed else "added "
            said.append(f"{new}minor versions {numbers}" if len(self.minors) > 1 else f"{new}minor version {numbers}")
        if self.flags is not None and (not self.minors or self.step != "new"):
            said.append(f"removable: {_yes(self.flags.removable)}, exportable: {_yes(self.flags.exportable)}")
        if self.checkpoints:
            said.append(f"{len(self.checkpoints)} checkpoints")
        if self.alias:
            said.append(f"the id {self.bundled_id} means it, too")
        return said or ["nothing to do"]


class ImportPlan(BaseModel):
    """What the import of a bundle would change. `missing` and `held` count contents, the others their bytes.

    `free` are the bytes free where the store keeps its files; None where that cannot be told.
    """

    model_config = ConfigDict(frozen=True)

    algorithms: list[AlgorithmPlan]
    missing: int
    missing_bytes: int
    held: int
    held_bytes: int
    free: int | None = None

    @property
    def changes(self) -> bool:
        """Whether anything would be other than before."""
        return any(each.changes for each in self.algorithms)

    def __str__(self) -> str:
        sizes = f"{self.missing} contents of {self.missing_bytes} bytes to store"
        if self.held:
            sizes += f", {self.held} of {self.held_bytes} bytes there already"
        return "\n".join([*map(str, self.algorithms), sizes])


class ImportReport(BaseModel):
    """What an import did. `minors` of an algorithm are now the numbers that its versions really got."""

    model_config = ConfigDict(frozen=True)

    algorithms: list[AlgorithmPlan]
    stored: int
    stored_bytes: int

    @property
    def changes(self) -> bool:
        """Whether anything is other than before."""
        return any(each.changes for each in self.algorithms)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.algorithms), f"{self.stored} contents of {self.stored_bytes} bytes stored"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"

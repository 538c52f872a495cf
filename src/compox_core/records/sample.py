"""A training sample: groups of data files, by key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

LONGEST_TEXT = 10_000
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Group = dict[Text, list[Text]]


class SampleRequest(BaseModel):
    """What a client gives: at least one group of files, all groups with the same keys, and tags.

    A group says which files belong together, `{"input": [file ids], "target": [file ids]}` say.
    """

    model_config = ConfigDict(extra="ignore")

    files: list[Group] = Field(min_length=1)
    tags: list[Text] = Field(default_factory=list)

    @field_validator("files")
    @classmethod
    def _same_keys(cls, files: list[Group]) -> list[Group]:
        for number, group in enumerate(files):
            if group.keys() != files[0].keys():
                raise ValueError(
                    f"group {number} has the keys {sorted(group)}, and group 0 has {sorted(files[0])}: "
                    "all groups of a sample have the same keys"
                )
        return files

    @field_validator("tags")
    @classmethod
    def _normalised(cls, tags: list[str]) -> list[str]:
        return normalised_tags(tags)


class SampleRecord(BaseModel):
    """A stored sample. `tags` are stripped and lower case, each there once. Never changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    sample_id: str
    files: list[Group]
    tags: list[str] = Field(default_factory=list)
    time_created: datetime

    @property
    def file_ids(self) -> list[str]:
        """Every file that it names, once, in order of group and key."""
        return list(dict.fromkeys(name for group in self.files for names in group.values() for name in names))

    @property
    def keys(self) -> list[str]:
        """The keys that every group has, in the order of the first."""
        return list(self.files[0])


def normalised_tags(tags: Iterable[str]) -> list[str]:
    """Return tags stripped and in lower case, without empty ones, each once, in their order."""
    return list(dict.fromkeys(text for tag in tags if (text := tag.strip().lower())))

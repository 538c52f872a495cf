"""How a test looks past a store."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Backdoor(ABC):
    """How a test reads and writes objects past the store."""

    @abstractmethod
    def write(self, collection: str, key: str, data: bytes) -> None:
        """Lay an object down as the store would."""

    @abstractmethod
    def read(self, collection: str, key: str) -> bytes | None:
        """Return an object's bytes, None when there is none."""

    @abstractmethod
    def everything(self, collection: str) -> set[str]:
        """Return the keys of all that lies there, also what the store would not list: nothing may stay behind."""

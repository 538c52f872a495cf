"""URLs at which a client puts or gets one file without being asked who it is, for an hour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compox_core.errors import ConflictError
from compox_core.settings import Settings
from compox_core.storage import FileStore, ObjectStore
from compox_core.storage.signing import Signing

SECONDS = 3600


@dataclass(frozen=True)
class Link:
    """A URL of the store's own; where it has none, what a server has to be shown (`check`) for the same.

    `expires` is in seconds since 1970.
    """

    url: str | None = None
    expires: int = 0
    signature: str = ""


class Links:
    """Makes and checks such URLs; on S3 the store itself serves them, elsewhere our server does."""

    def __init__(self, files: FileStore, store: ObjectStore, settings: Settings) -> None:
        self._files = files
        self._signing = Signing(store)
        self._domain: str | None = getattr(settings.storage.backend_settings, "s3_domain_name", None)

    def upload(self, name: str) -> Link:
        """Return where to put a new file of this name.

        Raises InvalidInputError (`invalid_file_name`), ConflictError (`file_exists`).
        """
        self._files.check_name(name)
        return self._link("PUT", name)

    def download(self, name: str) -> Link:
        """Return where to get a file. Raises NotFoundError (`file_not_found`)."""
        return self._link("GET", name)

    def check(self, method: str, name: str, expires: str, signature: str) -> None:
        """Raise ConflictError (`url_not_valid`) where a URL was not signed for this, or has expired."""
        why = self._signing.check(method, name, expires, signature)
        if why is not None:
            raise ConflictError(
                f"This URL is not valid: {why}. Ask the server for a new one.",
                code="url_not_valid",
                details={"object_name": name},
            )

    def put(self, name: str, path: Path) -> None:
        """Take over a file that was sent to a URL of ours. Raises as `upload`; the file is gone then, too."""
        self._files.place_named(path, name)

    def _link(self, method: str, name: str) -> Link:
        url = self._files.presigned(name, method, SECONDS, self._domain)
        return Link(url) if url is not None else Link(None, *self._signing.sign(method, name, SECONDS))

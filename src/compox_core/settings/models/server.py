"""The sections about the server: who it is, whom it lets in, what it writes down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from compox_core.settings.models.section import Amount, Count, Days, LogLevel, Seconds, Section


class Info(Section):
    """Who the server says it is."""

    product_name: str = "Tescan Compox Backend"
    """The name that `GET /` answers."""
    server_tags: list[str] = Field(default_factory=lambda: ["compox"])
    """Tags that `GET /` answers; `compox` is always added."""
    group_name: str = "TESCAN GROUP, a.s."
    """The group that `GET /` answers."""
    organization_name: str = "TESCAN GROUP, a.s."
    """The organization that `GET /` answers."""
    organization_domain: str = "tescan.com"
    """The organization's domain that `GET /` answers."""

    @field_validator("server_tags")
    @classmethod
    def _always_tagged(cls, tags: list[str]) -> list[str]:
        return tags if "compox" in tags else [*tags, "compox"]


class Gui(Section):
    """The tray icon. The keys load; there is no tray yet."""

    algorithm_add_remove_in_menus: bool = False
    """Whether the menu of the tray icon adds and removes algorithms."""
    use_systray: bool = False
    """Whether there is a tray icon. True is a warning in the log, as there is none yet."""
    icon_path: str | None = None
    """The picture of the tray icon. It may begin with a prefix."""


class Ssl(Section):
    """TLS of the server."""

    use_ssl: bool = False
    """Whether the server speaks HTTPS, which needs both files."""
    ssl_keyfile: str | None = None
    """The private key of the certificate, a PEM file without a password. It may begin with a prefix."""
    ssl_certfile: str | None = None
    """The certificate with its chain, a PEM file. It may begin with a prefix."""


class Middleware(Section):
    """Which web pages of other origins may ask the server (CORS)."""

    allow_origins: list[str] = Field(default_factory=list)
    """Origins such as `https://viewer.example`, or `*` for any."""
    allow_methods: list[str] = Field(default_factory=lambda: ["GET"])
    """HTTP methods that these pages may use, or `*` for any."""
    allow_headers: list[str] = Field(default_factory=list)
    """Headers that these pages may send, or `*` for any."""
    allow_credentials: bool = False
    """Whether these pages may send cookies and log-ins."""
    expose_headers: list[str] = Field(default_factory=list)
    """Headers of an answer that these pages may read."""
    max_age: Seconds = 3600
    """For how many seconds a browser may remember what is allowed."""


class Logging(Section):
    """How much is logged where. The log file is that of `log_path`."""

    console_level: LogLevel = "INFO"
    """The least level that the console shows."""
    file_level: LogLevel = "INFO"
    """The least level that is written to the log file."""
    format: Literal["text", "json"] = "text"
    """How a line of the console and of the log file looks: `text` is for people, `json` one JSON object a line."""
    rotate_mb: Amount = 8
    """At how many megabytes (of 1024² bytes) the log file is set aside and another one begun."""
    keep_days: Days = 10
    """For how many days log files that were set aside are kept."""


class Deploy(Section):
    """What clients may deploy from the server's own disk."""

    allowed_roots: list[str] | None = None
    """Folders below which algorithms may be deployed by path, by clients on this machine. Null allows those below
    `deploy_algorithms_from`."""


class Limits(Section):
    """Bounds on what is accepted."""

    max_archive_bytes: Count = 10 * 1024**3
    """What a deployed zip may inflate to, in bytes (10 GiB)."""
    max_archive_members: Count = 100_000
    """How many members a deployed zip, or files and folders a deployed folder, may have."""
    max_log_bytes: Annotated[Count, Field(ge=1024)] = 1024**2
    """What the record of a task holds of its log, head and tail, in bytes (1 MiB)."""
    max_upload_bytes: Count | None = None
    """What one uploaded file may have, in bytes. Null is no limit but the disk."""

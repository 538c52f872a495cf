"""The section about the store: where everything is kept, and for how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Secret, SecretStr

from compox_core.settings.models.section import Days, FixedPort, Port, Section, Signer


class LocalBackend(Section):
    """A folder. It needs no server."""

    provider: Literal["local"] = "local"
    path: str | None = None
    """The folder. Null is the folder `store` in the user's data directory for `compox-core`."""


class MemoryBackend(Section):
    """The memory of one process: nothing outlives it, and no other process sees it."""

    provider: Literal["memory"]


class FsspecBackend(Section):
    """Any URL at which a store can be opened."""

    provider: Literal["fsspec"]
    url: str
    """Where the store is: `s3://bucket/prefix`, `file:///folder` …"""
    options: Secret[dict[str, Any]] = Field(default_factory=lambda: Secret[dict[str, Any]]({}))
    """What the filesystem of that URL takes; for S3 `key`, `secret`, `endpoint_url` …"""


class MinioBackend(Section):
    """An S3 server on this machine or in the house, such as MinIO, with one bucket for each collection."""

    provider: Literal["minio"]
    start_instance: bool = True
    """Whether MinIO is started where nothing answers at the endpoint yet. It ends with the server that started it."""
    port: FixedPort = 5483
    """The port of MinIO on this machine."""
    console_port: Port = 5482
    """The port of the web page of a MinIO that is started."""
    executable_path: str = "minio/minio_bin"
    """The program of MinIO, or the name of one on the `PATH`. It may begin with a prefix."""
    storage_path: str = "minio/compox_store"
    """The folder in which a MinIO that is started keeps its data. It may begin with a prefix."""
    aws_region: str | None = None
    """The region that the server wants to be told; most want none."""
    s3_domain_name: str | None = None
    """The host, with its port where it needs one, that clients reach the server by: presigned URLs are made for it."""
    s3_endpoint_url: str | None = None
    """The URL of the server. Null is `http://localhost:<port>`."""

    @property
    def endpoint(self) -> str:
        """The URL of the server, whether it is named or not."""
        return self.s3_endpoint_url or f"http://localhost:{self.port}"


class AwsBackend(Section):
    """Amazon S3, or what speaks as it does at an endpoint, with one bucket for each collection."""

    provider: Literal["aws"]
    s3_endpoint_url: str | None = None
    """The URL of the server. Null is Amazon."""
    aws_region: str | None = None
    """The region of the buckets. Null is what the machine is configured for."""
    s3_domain_name: str | None = None
    """The host, with its port where it needs one, that clients reach the server by: presigned URLs are made for it."""


def _with_provider(value: Any) -> Any:
    """Let `{path: …}` mean a folder: the provider need not be named for the default."""
    return {"provider": "local", **value} if isinstance(value, dict) and "provider" not in value else value


StorageBackend = Annotated[
    Annotated[
        LocalBackend | MemoryBackend | FsspecBackend | MinioBackend | AwsBackend, Field(discriminator="provider")
    ],
    BeforeValidator(_with_provider),
]


class Storage(Section):
    """Where everything is kept, and for how long."""

    collection_prefix: str = ""
    """Before the name of each collection: up to 31 lower-case letters, digits and `-`."""
    data_store_expire_days: Days = 1
    """For how many days input and output files are kept after they were stored, or longer where a job that goes on
    needs them."""
    execution_store_expire_days: Days = 30
    """For how many days records and logs of runs are kept after their end."""
    training_store_expire_days: Days = 30
    """For how many days records and logs of trainings are kept after their end."""
    deploy_store_expire_days: Days = 30
    """For how many days records of deploys that were asked for over HTTP are kept; what was deployed stays."""
    benchmark_store_expire_days: Days = 30
    """For how many days records of benchmarks are kept after their end."""
    stop_requests_expire_days: Days = 7
    """For how many days a request to stop is kept of which nobody took notice."""
    builtin_storage_bundle_path: str | None = None
    """A bundle of algorithms that a server imports when it starts, once for each content of that file. It may begin
    with a prefix."""
    builtin_storage_bundle_key: SecretStr | None = None
    """The key of that bundle, or the identity that it was built for."""
    builtin_storage_bundle_passphrase: SecretStr | None = None
    """The passphrase of that bundle, where it was built with one."""
    builtin_storage_bundle_required: bool = False
    """Whether a server whose bundle cannot be imported, or is not there, ends. Otherwise it goes on, and `/readyz` says
    that a bundle could not be imported."""
    trusted_signers: list[Signer] = Field(default_factory=list)
    """Whose bundles are accepted, as `compox-cli bundle key --signer` prints them: nothing is imported then that none
    of them has signed, and none of version 1. An empty list asks for no signature."""
    access_key_id: SecretStr | None = None
    """The name in which `minio` and `aws` are asked. Null leaves it to the environment, or to chance where MinIO is
    started."""
    secret_access_key: SecretStr | None = None
    """The password to that name. Null leaves it to the environment, or to chance where MinIO is started."""
    fsync: bool = False
    """Whether a write to a folder returns only when it would survive a power cut."""
    emergency_path: str | None = None
    """The folder for the ends of jobs that the store refuses. Null takes `compox_emergency_records` beside the log
    file. One that belongs to somebody else, or into which others may write, is passed over for the next best."""
    backend_settings: StorageBackend = Field(default_factory=LocalBackend)

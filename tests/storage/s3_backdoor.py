"""How tests look past a store on S3: a plain client of the same server."""

from __future__ import annotations

from typing import Any

from tests.contracts.backdoor import Backdoor
from tests.servers import S3Server


class S3Backdoor(Backdoor):
    """The objects of a store at `s3://bucket/path`, by boto3, and the uploads in parts that nobody finished."""

    def __init__(self, server: S3Server, url: str) -> None:
        self.client = server.client
        self.bucket, _, self.path = url.removeprefix("s3://").partition("/")

    def write(self, collection: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.path}/{collection}/{key}", Body=data)

    def read(self, collection: str, key: str) -> bytes | None:
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=f"{self.path}/{collection}/{key}")
        except self.client.exceptions.NoSuchKey:
            return None
        content: bytes = answer["Body"].read()
        return content

    def everything(self, collection: str) -> set[str]:
        start = f"{self.path}/{collection}/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
        keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=start).get("Uploads", [])
        return {key.removeprefix(start) for key in keys} | {f"upload of {upload['Key']}" for upload in uploads}

    def head(self, collection: str, key: str) -> Any:
        """Return what the server says of an object."""
        return self.client.head_object(Bucket=self.bucket, Key=f"{self.path}/{collection}/{key}")

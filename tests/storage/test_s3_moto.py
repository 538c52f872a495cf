"""The store on S3, on moto's server, which runs anywhere."""

from __future__ import annotations

import pytest

from tests.contracts.s3_store import S3StoreContract
from tests.servers import S3Server

pytestmark = pytest.mark.s3


class TestS3StoreOnMoto(S3StoreContract):
    """The contract on moto."""

    checks = False

    @pytest.fixture
    def server(self, moto_server: S3Server) -> S3Server:
        return moto_server

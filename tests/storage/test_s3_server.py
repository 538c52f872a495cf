"""The store on S3, on a real server."""

from __future__ import annotations

import pytest

from compox_core.errors import StorageError
from compox_core.storage import FILES, ObjectStore, initialise, open_store
from tests.contracts.s3_store import S3StoreContract
from tests.servers import S3Server
from tests.storage.s3_backdoor import S3Backdoor

pytestmark = pytest.mark.s3


class TestS3StoreOnAServer(S3StoreContract):
    """The contract on a real server."""

    @pytest.fixture
    def server(self, s3_server: S3Server) -> S3Server:
        return s3_server

    def test_an_upload_that_may_go_on_stays(self, store: ObjectStore, backdoor: S3Backdoor) -> None:
        """What began less than a day ago is nobody's to drop."""  # moto says that all uploads began in 2010
        place = {"Bucket": backdoor.bucket, "Key": f"{backdoor.path}/{FILES}/k"}
        upload = backdoor.client.create_multipart_upload(**place)["UploadId"]
        backdoor.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"12345")
        assert store.clear_temporary() == (0, 0)
        backdoor.client.abort_multipart_upload(**place, UploadId=upload)

    def test_wrong_keys_are_denied(self, server: S3Server) -> None:
        """Credentials that the server does not know are `storage_access_denied`, not an empty store."""
        store = open_store(server.url(), options={**server.options, "secret": "wrong"})
        for use in (lambda: store.get(FILES, "k"), lambda: store.exists(FILES, "k"), lambda: initialise(store)):
            with pytest.raises(StorageError) as caught:
                use()
            assert (caught.value.code, caught.value.retryable) == ("storage_access_denied", False)

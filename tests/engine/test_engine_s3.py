"""The engine on S3: the same from deploy to result, for everybody who reaches the server."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compox_core as cx
from tests.engine.authors import image_runner, write_algorithm
from tests.servers import S3Server

pytestmark = pytest.mark.s3

IMAGE = np.arange(30, dtype=np.float32).reshape(5, 6)


@pytest.fixture(params=["moto_server", "s3_server"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["one bucket", "a bucket for each collection"])
def settings(request: pytest.FixtureRequest, server: S3Server) -> dict[str, Any]:
    if request.param == "one bucket":
        return {"storage": {"backend_settings": {"provider": "fsspec", "url": server.url(), "options": server.options}}}
    return {
        "storage": {
            "collection_prefix": f"t{uuid.uuid4().hex[:8]}-",
            "access_key_id": server.key,
            "secret_access_key": server.secret,
            "backend_settings": {
                "provider": "minio",
                "start_instance": False,
                "s3_endpoint_url": server.endpoint,
            },
        }
    }


def test_deploy_run_and_remove(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One engine deploys, another that opens the same place runs it, sees its log and record, and removes it."""
    monkeypatch.setenv("COMPOX_MODULE_CACHE", str(tmp_path / "modules"))
    body = "self.set_progress(0.5)\nself.log_message('on S3')\nreturn data + len(self.fetch_asset('files/w').read())"
    folder = write_algorithm(tmp_path / "a", image_runner(body), files={"files/w": b"123"}, extra="removable = true")
    with cx.Engine(settings) as deploys:
        assert deploys.deploy(folder).created
        assert not deploys.deploy(folder).created
    with cx.Engine(settings) as runs:
        handle = runs.submit("sample", IMAGE)
        np.testing.assert_array_equal(handle.result(60), IMAGE + 3)
        np.testing.assert_array_equal(runs.run("sample", handle.record.input_dataset_ids[0], progress=False), IMAGE + 3)
    with cx.Engine(settings) as looks_on:
        record = looks_on.executions.get(handle.id)
        assert (record.status, "INFO on S3" in record.log) == ("COMPLETED", True)
        assert [found.name for found in looks_on.algorithms] == ["sample"]
        looks_on.algorithms.remove("sample")
        assert looks_on.algorithms.list() == []
        assert list(looks_on.store.list("module-store")) == []
        with pytest.raises(cx.NotFoundError):
            looks_on.run("sample", IMAGE)


def test_a_store_that_is_gone_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    """No server at the endpoint: opening fails with a retryable error that names the store."""
    settings = {
        "storage": {
            "access_key_id": "k",
            "secret_access_key": "s",
            "backend_settings": {"provider": "aws", "s3_endpoint_url": "http://127.0.0.1:9"},
        }
    }
    with pytest.raises(cx.StorageError) as caught:
        cx.Engine(settings).open()
    assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)

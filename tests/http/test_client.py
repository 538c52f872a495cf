"""The Python client against a server, side by side with the engine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from compox_core import errors
from compox_core.engine import Engine, ResultArray
from compox_core.records import TaskStatus
from compox_http.client import Client, ConnectionFailed
from tests.http.serving import Wire, hdf5_bytes, image

STORES = ("memory", "local")  # nothing here asks the store for what S3 does otherwise


@pytest.fixture
def client(wire: Wire) -> Iterator[Client]:
    """A client of the shared server."""
    with Client(wire.url) as client:
        yield client


def test_arrays_in_arrays_out_as_the_engine_does(client: Client, engine: Engine) -> None:
    """The same call gives the same result here and there."""
    stack = np.stack([image(1), image(2)])
    for data in (image(), stack, [image(1), image(2)], {"image": image()}):
        there = client.run("double", data, factor=1.5, progress=False)
        here = engine.run("double", data, factor=1.5, progress=False)
        assert type(there) is type(here)
        for a, b in zip(there, here, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_numpy_scalars_are_parameters_too(client: Client) -> None:
    """A scientist's numbers come from arrays."""
    result = client.run("double", image(), factor=np.float32(1.5), progress=False)
    assert isinstance(result, ResultArray)
    np.testing.assert_allclose(result, image() * 1.5, rtol=1e-6)
    assert result.record is not None and result.record.status is TaskStatus.COMPLETED


def test_progress_is_told(client: Client) -> None:
    """A function hears how far the run is, up to the end."""
    told: list[float] = []
    client.run("double", image(), progress=told.append)
    assert told[-1] == 1.0


def test_a_handle_follows_and_stops(client: Client) -> None:
    """Status, progress, log, stop, wait, result."""
    handle = client.submit("endless", {"data": np.zeros(3)})
    assert not handle.wait(0.05).status.final
    assert handle.status in (TaskStatus.PENDING, TaskStatus.STARTED, TaskStatus.RUNNING) and not handle.done
    with pytest.raises(errors.StateError):
        handle.result(0.01)
    handle.stop()
    assert handle.wait(30).status is TaskStatus.STOPPED
    assert handle.log and handle.done
    with pytest.raises(errors.TaskFailedError):
        handle.result()
    with pytest.raises(errors.ConflictError) as caught:
        handle.stop()
    assert caught.value.code == "execution_not_stoppable"


def test_a_timeout_stops_the_run(client: Client) -> None:
    """Nobody waits for it any more."""
    with pytest.raises(errors.StateError):
        client.run("endless", {"data": np.zeros(3)}, timeout=0.05, progress=False)


def test_a_failure_tells_its_cause(client: Client) -> None:
    """The message is that of the algorithm's exception."""
    with pytest.raises(errors.TaskFailedError, match="no such pixel"):
        client.run("broken", image(), progress=False)


def test_errors_are_those_of_the_engine(client: Client, engine: Engine) -> None:
    """Class and code are the same over the wire."""
    calls = [
        lambda host: host.run("nobody", image()),
        lambda host: host.run("double", image(), major=9),
        lambda host: host.run("double", image(), minor=9),
        lambda host: host.run("double", image(), factor=99),
        lambda host: host.run("double", "/no/such/file.tif"),
        lambda host: host.run("double", []),
        lambda host: host.run("double", "019a9f3e-7c1b-7d52-8a63-5b1f0c9e4d27"),
        lambda host: host.algorithms.get("double", "7"),
        lambda host: host.files.upload(b"junk"),
        lambda host: host.files.delete("x"),
        lambda host: host.files.read("x"),
    ]
    for call in calls:
        with pytest.raises(errors.CompoxError) as there:
            call(client)
        with pytest.raises(errors.CompoxError) as here:
            call(engine)
        assert (type(there.value), there.value.code) == (type(here.value), here.value.code)


def test_a_refused_run_leaves_no_inputs(client: Client, engine: Engine) -> None:
    """What was uploaded for it is removed again."""
    before = [info.id for info in engine.files.list()]
    with pytest.raises(errors.ParameterError):
        client.run("double", image(), factor=99)
    assert [info.id for info in engine.files.list()] == before


def test_algorithms_are_found_and_listed(client: Client, engine: Engine) -> None:
    """Records are those of the engine, but for the moment at which sizes were counted."""
    there, here = client.algorithms.get("Double"), engine.algorithms.get("Double")
    same = {"storage_metrics": there.storage_metrics, "created": there.created}
    assert there == here.model_copy(update=same)
    assert there.created == here.created.replace(microsecond=0)
    assert [record.name for record in client.algorithms] == [record.name for record in engine.algorithms]
    assert [record.name for record in client.algorithms.list(supported_devices=["gpu"])] == ["double"]


def test_files_go_up_and_down(client: Client, tmp_path: Path) -> None:
    """From a path, bytes or a stream; to bytes, a path or values."""
    content = hdf5_bytes(tmp_path, image=image(), note="é")
    path = tmp_path / "input.h5"
    with path.open("rb") as stream:
        ids = [client.files.upload(source) for source in (path, str(path), content, stream)]
    for file_id in ids:
        assert client.files.download(file_id) == content
    target = client.files.download(ids[0], tmp_path / "down.h5")
    assert target.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["input.h5", "down.h5"] or len(list(tmp_path.iterdir())) == 2
    values = client.files.read(ids[0], "note", "absent")
    assert values == {"note": "é", "absent": None}
    client.files.delete(ids[0])
    with pytest.raises(errors.NotFoundError):
        client.files.download(ids[0], tmp_path / "gone.h5")
    assert not (tmp_path / "gone.h5").exists() and not (tmp_path / "gone.h5.part").exists()


def test_an_input_may_be_a_path_or_an_id(client: Client, tmp_path: Path) -> None:
    """HDF5 files are sent as they are, stored files are used where they lie."""
    hdf5_bytes(tmp_path, image=image())
    path = tmp_path / "input.h5"
    file_id = client.files.upload(path)
    for source in (path, file_id, [path, file_id]):
        result = client.run("double", source, progress=False)
        np.testing.assert_allclose(np.asarray(result)[..., :, :].reshape(-1, 16, 16)[0], image() * 2, rtol=1e-6)


def test_the_server_says_who_it_is(client: Client, engine: Engine) -> None:
    """As the engine does."""
    assert client.info() == engine.info()


def test_no_server_is_a_clear_error() -> None:
    """It names the address and may be tried again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with Client(url) as client, pytest.raises(ConnectionFailed) as caught:
        client.info()
    assert url in caught.value.message and caught.value.retryable


@pytest.mark.parametrize("url", ["http://[bad", "http://..", "http://a b", "http://" + "a" * 300])
def test_an_address_that_leads_nowhere_is_a_failed_connection(url: str) -> None:
    """Names that no host can have included."""
    with Client(url) as client, pytest.raises(ConnectionFailed):
        client.info()


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://", "127.0.0.1:5481", "http://x:port"])
def test_a_bad_address_is_told_at_once(url: str) -> None:
    """Before anything is asked."""
    with pytest.raises(errors.InvalidInputError):
        Client(url)


def test_another_server_is_not_mistaken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of HTML, or JSON of another kind, is an error with a reason."""
    for body in (b"<html>", b'{"algorithm_id": 7}', b"[]"):
        answer = httpx2.Response(200, content=body)
        monkeypatch.setattr(httpx2.Client, "request", lambda *_, answer=answer, **__: answer)
        with Client() as client, pytest.raises(errors.CompoxError):
            client.algorithms.get("x", 1)


def test_a_proxy_is_not_asked_for_this_machine(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(wire.url) as client:
        assert client.info()["name"]

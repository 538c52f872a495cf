"""What holds for every route: unknown paths, wrong methods, hostile ids, the description of the interface."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from compox_core._version import __version__
from compox_core.engine import Engine
from compox_core.errors import AlgorithmError, StorageError
from tests.http.serving import API, Wire, error_body, served


def test_the_root_says_who_serves(wire: Wire) -> None:
    """Names from the settings, the version, and GPUs or null."""
    body = wire.http.get("/").json()
    assert list(body) == [
        "name", "tags", "group", "organization", "domain", "version", "cuda_available", "cuda_capable_devices_count",
    ]  # fmt: skip
    assert body["version"] == __version__ and "compox" in body["tags"]
    assert (body["cuda_available"] is None) == (body["cuda_capable_devices_count"] is None)


@pytest.mark.parametrize("path", ["/nowhere", "/api/v0", "/api/v0/nothing", "/api/v9/files", "/api/v0/files/a/b"])
def test_an_unknown_route_is_http_404(wire: Wire, path: str) -> None:
    """The shape of HTTP's own errors."""
    answer = wire.http.get(path)
    assert answer.status_code == 404
    assert error_body(answer) == {"detail": "Not Found", "code": "http_404", "retryable": False}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/files", "POST"),
        ("PUT", "/files/x", "GET"),
        ("HEAD", "/executions/x", "GET"),
        ("POST", "/executions/x", "GET"),
        ("GET", "/executions/x/stop", "POST"),
        ("DELETE", "/algorithm/all", "GET"),
        ("GET", "/execute-algorithm", "POST"),
        ("GET", "/train-algorithm", "POST"),
        ("DELETE", "/training/x", "GET"),
        ("GET", "/sample", "POST"),
        ("POST", "/checkpoint/x", "DELETE"),
    ],
)
def test_a_wrong_method_is_http_405_and_says_what_is_allowed(wire: Wire, method: str, path: str, allowed: str) -> None:
    """The Allow header is there."""
    answer = wire.http.request(method, API + path)
    assert answer.status_code == 405
    assert allowed in answer.headers["allow"]
    if method != "HEAD":
        assert error_body(answer) == {"detail": "Method Not Allowed", "code": "http_405", "retryable": False}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v0/files", "OPTIONS, POST"),
        ("/api/v0/files/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/api/v0/sample/x", "DELETE, GET, OPTIONS"),
        ("/api/v1/executions", "GET, OPTIONS, POST"),
        ("/api/v1/executions/x", "GET, OPTIONS, PUT"),
        ("/api/v1/files/x/content", "GET, HEAD, OPTIONS, PUT"),
    ],
)
def test_a_path_tells_its_methods(wire: Wire, path: str, methods: str) -> None:
    """OPTIONS names all of them, whichever handler has them."""
    answer = wire.http.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")


HOSTILE = [
    "..",
    ".",
    "%00",
    "x" * 5000,
    "ü✓😀",
    "a b",
    "~",
    "-",
    "*",
    "\\..\\x",
    "c:",
    "%",
    "%ff",
    "'\"<script>",
    "\r\n",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/files/{}", "file_not_found"),
        ("DELETE", "/files/{}", "file_not_found"),
        ("GET", "/executions/{}", "execution_record_not_found"),
        ("POST", "/executions/{}/stop", "execution_record_not_found"),
        ("GET", "/training/{}", "training_record_not_found"),
        ("POST", "/training/{}/stop", "training_record_not_found"),
        ("GET", "/sample/{}", "sample_not_found"),
        ("DELETE", "/sample/{}", "sample_not_found"),
        ("GET", "/checkpoint/{}", "checkpoint_not_found"),
        ("DELETE", "/checkpoint/{}", "checkpoint_not_found"),
        ("GET", "/algorithm/{}/1", "algorithm_not_found"),
        ("GET", "/algorithm/double/{}", "algorithm_not_found"),
    ],
)
def test_a_hostile_id_is_simply_not_found(wire: Wire, method: str, path: str, code: str, text: str) -> None:
    """Nothing is looked up outside the store, and nothing fails."""
    segment = text if text.startswith("%") and len(text) == 3 else quote(text, safe="")
    dots = {"..": "%2e%2e", ".": "%2e"}
    answer = wire.http.request(method, API + path.format(dots.get(segment, segment)))
    assert answer.status_code == 404
    assert answer.json()["code"] == code
    assert answer.json()["retryable"] is False


def test_an_encoded_slash_is_a_slash(wire: Wire) -> None:
    """No route has ids with slashes."""
    answer = wire.http.get(f"{API}/files/a%2fb")
    assert (answer.status_code, answer.json()["code"]) == (404, "http_404")


def test_a_trailing_slash_does_no_harm(wire: Wire) -> None:
    """It leads to the same place or away, but never to a failure."""
    assert wire.http.get(f"{API}/algorithm/all/", follow_redirects=True).status_code == 200


ROUTES = {
    "/": "get",
    "/livez": "get",
    "/readyz": "get",
    "/api/v0/algorithm/all": "get",
    "/api/v0/algorithm/{name}/{major}": "get",
    "/api/v0/algorithm/{name}/{major}/export": "get",
    "/api/v0/benchmark-algorithm": "post",
    "/api/v0/benchmarks/{benchmark_id}": "get",
    "/api/v0/checkpoint/all": "get",
    "/api/v0/checkpoint/{checkpoint_id}": "delete get",
    "/api/v0/deploy/algorithm/{algorithm_id}": "delete",
    "/api/v0/deploy/local": "post",
    "/api/v0/deploy/local-async": "post",
    "/api/v0/deploy/{deploy_id}": "get",
    "/api/v0/execute-algorithm": "post",
    "/api/v0/executions/{execution_id}": "get",
    "/api/v0/executions/{execution_id}/stop": "post",
    "/api/v0/files": "post",
    "/api/v0/files/{file_id}": "delete get head",
    "/api/v0/sample": "post",
    "/api/v0/sample/all": "get",
    "/api/v0/sample/{sample_id}": "delete get",
    "/api/v0/train-algorithm": "post",
    "/api/v0/training/{training_id}": "get",
    "/api/v0/training/{training_id}/stop": "post",
    "/api/v1/algorithms": "post",
    "/api/v1/benchmarks/{benchmark_id}/events": "get",
    "/api/v1/deploys/{deploy_id}/events": "get",
    "/api/v1/executions": "get post",
    "/api/v1/executions/{execution_id}": "get put",
    "/api/v1/executions/{execution_id}/events": "get",
    "/api/v1/files/{object_name}": "delete",
    "/api/v1/files/{object_name}/content": "get head put",
    "/api/v1/files/{object_name}/download-url": "get",
    "/api/v1/files/{object_name}/upload-url": "get",
    "/api/v1/trainings": "get",
    "/api/v1/trainings/{training_id}/events": "get",
    "/api/v1/trainings/{training_id}/metrics": "get",
    "/api/v1/trainings/{training_id}/metrics.csv": "get",
}


def test_the_interface_describes_itself(wire: Wire) -> None:
    """OpenAPI names every route, its body and its errors; what is hidden on purpose is not there."""
    document = wire.http.get("/openapi.json").json()
    assert (document["info"]["title"], document["info"]["version"]) == ("compox", __version__)
    assert {path: " ".join(sorted(item)) for path, item in document["paths"].items()} == ROUTES
    execute = document["paths"]["/api/v0/execute-algorithm"]["post"]
    [content] = execute["requestBody"]["content"].values()
    assert content["schema"]["required"] == ["algorithm_id", "input_dataset_ids"]
    assert content["example"]["algorithm_id"]
    assert set(execute["responses"]) == {"200", "400", "403", "404", "413", "422"}
    assert "schema" in document["components"] or "schemas" in document["components"]


def test_every_operation_is_named_explained_and_shown_by_examples(wire: Wire) -> None:
    """A summary, a description, a name of its own; an example of each part of its path and of its JSON body."""
    document = wire.http.get("/openapi.json").json()
    operations = [each for item in document["paths"].values() for each in item.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"] and each["description"], each["operationId"]
        for parameter in each.get("parameters", []):
            assert parameter["in"] != "path" or "example" in parameter, (each["operationId"], parameter["name"])
        json_body = each.get("requestBody", {}).get("content", {}).get("application/json")
        assert json_body is None or "example" in json_body, each["operationId"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_show_the_interface(wire: Wire, path: str) -> None:
    """HTML that names the document's title."""
    answer = wire.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "compox" in answer.text


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (
            StorageError("disk /secret/path broke", code="storage_unavailable", retryable=True),
            "storage_unavailable",
            True,
        ),
        (AlgorithmError("inner secret"), "algorithm_error", False),
        (RuntimeError("secret"), "internal_server_error", False),
        (KeyError("secret"), "internal_server_error", False),
    ],
)
def test_a_failure_of_the_server_tells_nothing_but_its_code(
    error: Exception, code: str, retryable: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The message and the details are for the log."""
    with Engine("memory://") as engine, served(engine) as url:

        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(engine.algorithms, "get", fail)
        wire = Wire(url)
        answer = wire.http.get(f"{API}/algorithm/double/1")
        wire.close()
    assert answer.status_code == 500
    assert error_body(answer) == {
        "detail": "Failed due to an internal server error.",
        "code": code,
        "retryable": retryable,
    }
    assert "secret" in caplog.text

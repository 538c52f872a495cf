"""Parts of files, and files that a client has already."""

from __future__ import annotations

import hashlib

import hypothesis.strategies as st
import pytest
from hypothesis import given
from litestar.datastructures import Headers

from compox_core.engine import Engine
from compox_http.ranges import part_of
from tests.http.serving import API, Wire

TOTAL = 1000


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=900-", 206, 900, 1000),
        ("bytes=-10", 206, 990, 1000),
        ("bytes=-5000", 206, 0, 1000),
        ("bytes=0-5000", 206, 0, 1000),
        ("bytes=999-999", 206, 999, 1000),
        ("Bytes = 1-2", 200, 0, 1000),
        ("BYTES=1-2", 206, 1, 3),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=99999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-2", 200, 0, 1000),
        ("bytes=0-1,5-6", 200, 0, 1000),
        ("bytes=-", 200, 0, 1000),
        ("bytes=a-b", 200, 0, 1000),
        ("items=0-1", 200, 0, 1000),
        ("", 200, 0, 1000),
        ("bytes=٣-٤", 200, 0, 1000),
    ],
)
def test_a_range_means_what_the_standard_says(wanted: str, status: int, start: int, stop: int) -> None:
    """RFC 9110, section 14; what is no range means all of it."""
    part = part_of(Headers({"range": wanted}), TOTAL, '"tag"')
    assert (part.status, part.start, part.stop) == (status, start, stop)


def test_an_empty_file_has_no_part() -> None:
    """Whatever is asked for."""
    assert part_of(Headers({"range": "bytes=0-"}), 0, '"tag"').status == 416
    assert part_of(Headers({}), 0, '"tag"').status == 200


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 10**12))
def test_no_range_leads_out_of_the_file(wanted: str, total: int) -> None:
    """Whatever a client sends."""
    part = part_of(Headers({"range": wanted}), total, '"tag"')
    assert 0 <= part.start <= part.stop <= total
    assert part.status in (200, 206, 416) and (part.status != 206 or part.start < part.stop)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": '"tag"'}, 304),
        ({"if-none-match": 'W/"tag", "other"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-none-match": '"tag"', "range": "bytes=0-1"}, 304),
        ({"if-range": '"tag"', "range": "bytes=0-1"}, 206),
        ({"if-range": '"other"', "range": "bytes=0-1"}, 200),
        ({"if-range": 'W/"tag"', "range": "bytes=0-1"}, 200),
    ],
)
def test_conditions_are_minded(headers: dict[str, str], status: int) -> None:
    """RFC 9110, section 13."""
    assert part_of(Headers(headers), TOTAL, '"tag"').status == status


def test_a_file_comes_in_parts_that_make_the_whole(wire: Wire, content: bytes) -> None:
    """With the hash of its content as tag, by which a part is of the same file."""
    place = f"{API}/files/{wire.upload(content)}"
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    whole = b""
    while len(whole) < len(content):
        answer = wire.http.get(place, headers={"range": f"bytes={len(whole)}-{len(whole) + 999}", "if-range": etag})
        assert answer.status_code == 206
        last = min(len(whole) + 999, len(content) - 1)
        assert answer.headers["content-range"] == f"bytes {len(whole)}-{last}/{len(content)}"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["etag"] == etag
        whole += answer.content
    assert whole == content


def test_a_head_says_what_a_get_would(wire: Wire, content: bytes) -> None:
    """Length, tag and type, and no body."""
    place = f"{API}/files/{wire.upload(content)}"
    get, head = wire.http.get(place), wire.http.head(place)
    assert (head.status_code, head.content) == (200, b"")
    told = ("content-length", "etag", "accept-ranges", "content-type")
    assert [head.headers[name] for name in told] == [get.headers[name] for name in told]
    assert wire.http.head(f"{API}/files/x").status_code == 404


def test_what_a_client_has_is_not_sent_again(wire: Wire, content: bytes) -> None:
    """304 without a body."""
    place = f"{API}/files/{wire.upload(content)}"
    answer = wire.http.get(place, headers={"if-none-match": wire.http.head(place).headers["etag"]})
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_part_that_is_not_there_is_416(wire: Wire, content: bytes) -> None:
    """With the size that there is."""
    answer = wire.http.get(f"{API}/files/{wire.upload(content)}", headers={"range": f"bytes={len(content)}-"})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


def test_an_output_has_the_hash_of_its_content(wire: Wire, engine: Engine, content: bytes) -> None:
    """As an upload has."""
    record = wire.finish(wire.execute("double", [wire.upload(content)]))
    answer = wire.http.get(f"{API}/files/{record['output_dataset_ids'][0]}")
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'

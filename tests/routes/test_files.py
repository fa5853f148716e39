"""GET /files/{name}: stored pictures for whoever has the link."""

import os
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SystemClock
from routes.files import PIECE, range_of
from storage import Found, Local, name_of
from tests.fakes.edge import Edge, edge

DATA = bytes(range(256)) * 2400
"""Longer than two pieces."""
MODIFIED = 1_795_000_000.75


class Stored:
    def __init__(self, gate: Edge, path: Path) -> None:
        self.gate = gate
        self.path = path
        self.url = f"/files/{path.name}"

    def get(self, **headers: str) -> httpx.Response:
        return self.gate.http.get(self.url, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    """An edge that asks for a key, and one picture with a name in several scripts."""
    folder = tmp_path_factory.mktemp("files")
    name = name_of("Fuchs 狐 'rot'", "image/png", MODIFIED)
    path = folder / name
    path.write_bytes(DATA)
    os.utime(path, (MODIFIED, MODIFIED))
    with edge(api_key="sk-good", files=Local(folder, SystemClock())) as gate:
        yield Stored(gate, path)


def test_a_picture_needs_no_key_and_brings_safe_headers(stored: Stored) -> None:
    """An <img> sends no key; nothing in the answer can run as a page."""
    response = stored.get()
    assert response.status_code == 200
    assert response.content == DATA
    head = response.headers
    assert head["content-type"] == "image/png"
    assert head["content-length"] == str(len(DATA))
    assert head["accept-ranges"] == "bytes"
    assert head["cache-control"] == "private, max-age=86400, immutable"
    assert head["x-content-type-options"] == "nosniff"
    assert head["content-security-policy"] == "default-src 'none'; sandbox"
    assert head["cross-origin-resource-policy"] == "cross-origin"
    assert head["content-disposition"].startswith("inline; filename*=UTF-8''2026")
    assert "%E7%8B%90" in head["content-disposition"]
    assert head["last-modified"] == formatdate(MODIFIED, usegmt=True)
    assert head["x-request-id"]


def test_head_tells_the_same_without_the_picture(stored: Stored) -> None:
    """With the length; a range is no matter of HEAD."""
    whole = stored.get().headers
    response = stored.gate.http.head(stored.url, headers={"range": "bytes=0-1"})
    assert (response.status_code, response.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "last-modified"):
        assert response.headers[name] == whole[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=0-", 0, len(DATA) - 1),
        (f"bytes={PIECE - 1}-{PIECE * 2 + 1}", PIECE - 1, PIECE * 2 + 1),
        ("bytes=-7", len(DATA) - 7, len(DATA) - 1),
        (f"bytes=-{10**12}", 0, len(DATA) - 1),
        (f"bytes=10-{10**12}", 10, len(DATA) - 1),
    ],
)
def test_a_range_is_exactly_that(stored: Stored, asked: str, first: int, last: int) -> None:
    """206 with the place it has in the whole."""
    response = stored.get(range=asked)
    assert response.status_code == 206
    assert response.content == DATA[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(DATA)}"
    assert response.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", f"bytes={10**15}-{10**16}", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(stored: Stored, asked: str) -> None:
    """With the true length, and nothing else."""
    response = stored.get(range=asked)
    assert (response.status_code, response.content) == (416, b"")
    assert response.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-5", "bytes=0-1,5-6", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1", "x", "\u00e9"],
)
def test_what_is_no_single_range_is_the_whole(stored: Stored, asked: str) -> None:
    """As the standard lets a server do."""
    response = stored.gate.http.get(stored.url, headers={"range": asked.encode("latin-1")})
    assert (response.status_code, response.content) == (200, DATA)


def test_if_range_asks_whether_the_copy_is_the_same(stored: Stored) -> None:
    """The rest where it is, the whole where it is another."""
    head = stored.get().headers
    for same in (head["etag"], head["last-modified"]):
        assert stored.get(range="bytes=1-2", if_range=same).status_code == 206
    for other in ('"x"', f"W/{head['etag']}", formatdate(MODIFIED - 5, usegmt=True), "yesterday"):
        assert stored.get(range="bytes=1-2", if_range=other).status_code == 200


def test_a_copy_that_is_the_same_is_not_sent_again(stored: Stored) -> None:
    """304 by tag or date; the tag decides where both are sent."""
    tag = stored.get().headers["etag"]
    for same in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        response = stored.get(if_none_match=same)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == tag
    later, earlier = (formatdate(MODIFIED + change, usegmt=True) for change in (5, -5))
    assert stored.get(if_modified_since=later).status_code == 304
    assert stored.get(if_modified_since=earlier).status_code == 200
    assert stored.get(if_modified_since="yesterday").status_code == 200
    assert stored.get(if_none_match='"x"', if_modified_since=later).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "nope.png",
        "20261121T000000Z_a_0123456789abcdef0123456789abcdef.png",
        "..%2f..%2fetc%2fpasswd",
        "../pyproject.toml",
        "a/b.png",
        "%00.png",
        "%ff.png",
        "%2e%2e",
        ".hidden",
        "x" * 5000,
    ],
)
def test_a_name_that_there_is_none_of_is_404(stored: Stored, name: str) -> None:
    """In OpenAI's shape, without a key asked for, and without a look outside the folder."""
    response = stored.gate.http.get(f"/files/{name}")
    if response.status_code == 401:  # httpx has resolved the dots itself
        assert not response.request.url.path.startswith("/files/")
        return
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_a_link_of_the_folder_leads_nowhere(stored: Stored) -> None:
    """Only plain files are served."""
    link = stored.path.with_name(name_of("link", "image/png", MODIFIED))
    link.symlink_to(stored.path)
    assert stored.gate.http.get(f"/files/{link.name}").status_code == 404


def test_only_reading_is_open(stored: Stored) -> None:
    """Other methods ask for a key, and then are not there."""
    assert stored.gate.http.delete(stored.url).status_code == 401
    response = stored.gate.http.delete(stored.url, headers={"x-api-key": "sk-good"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def test_a_page_of_another_origin_may_read_it(stored: Stored) -> None:
    """With the cross-origin headers of every answer."""
    assert stored.get(origin="https://a.example").headers["access-control-allow-origin"] == "*"


def test_without_a_folder_there_is_no_such_route(gate: Edge) -> None:
    """A gateway that stores elsewhere serves no files."""
    assert gate.http.get("/files/a.png").status_code == 404


@given(st.binary(max_size=40) | st.from_regex(rb"\Abytes=\d{0,4}-\d{0,4}\Z"), st.integers(1, 3000))
def test_a_range_lies_within_the_file(asked: bytes, size: int) -> None:
    """Whatever was asked for."""
    found = range_of({b"range": asked}, b'"t"', Found(Path("x"), size, MODIFIED, "image/png"))
    if found:
        first, last = found
        assert 0 <= first <= last < size

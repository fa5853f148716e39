"""`/docs`: the reference's files, as published and as served. `tests/page/test_reference.py` reads it in a browser."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.edge import Edge, edge

STATIC = Path(__file__).parents[2] / "routes" / "reference" / "static"
VENDOR = STATIC / "vendor"
OURS = ("index.html", "reference.css", "reference.js")


@pytest.fixture(scope="module")
def keyed() -> Iterator[Edge]:
    """An edge that asks everybody for a key."""
    with edge(api_key="one", admin_key="root") as found:
        yield found


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
    return found


def test_foreign_files_are_as_published() -> None:
    """Each is recorded with its hash, none is there besides, and package, version and licence are named."""
    kept = record()
    hashes = {entry["file"]: entry["sha256"] for entry in kept["files"]}
    there = {path.name for path in VENDOR.iterdir()} - {"vendor.json"}
    assert there == set(hashes)
    for name, digest in hashes.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    assert kept["package"] == "swagger-ui-dist"
    assert re.fullmatch(r"5\.\d+\.\d+", kept["version"])
    assert kept["integrity"].startswith("sha512-")
    assert kept["licence"] == "Apache-2.0"
    assert "Apache License" in (VENDOR / "LICENSE.txt").read_text(encoding="utf-8")


def test_our_own_files_name_no_other_host() -> None:
    """The page works where there is no internet."""
    for name in OURS:
        text = (STATIC / name).read_text(encoding="utf-8")
        assert not re.search(
            r"(?:https?:)?//[A-Za-z0-9]", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
        ), name


def test_the_page_needs_no_key(keyed: Edge) -> None:
    """It tells what `/openapi.json` tells; a slash at its end is ignored."""
    for path in ("/docs", "/docs/"):
        page = keyed.http.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<title>API reference" in page.text


def test_what_the_page_names_is_there(keyed: Edge) -> None:
    """Every file that the page, its script or its style sheet names is served, of a type that browsers take."""
    named = {
        found for name in OURS for found in re.findall(r"/docs/[\w./-]+", (STATIC / name).read_text("utf-8"))
    }
    assert len(named) == 4
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    for path in named:
        answer = keyed.http.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == types[Path(path).suffix]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_browsers_hold_it_to_its_own_files(keyed: Edge) -> None:
    """No inline script or style, no other host, no frame; what is typed in goes nowhere else."""
    policy = keyed.http.get("/docs").headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy


def test_it_is_sent_compressed_and_once(keyed: Edge) -> None:
    """The bundle goes over the wire in a third of its size, and not again while it is the same."""
    path = f"{keyed.url}/docs/vendor/swagger-ui-bundle.js"
    with httpx.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        tag = answer.headers["etag"]
    whole = (VENDOR / "swagger-ui-bundle.js").read_bytes()
    assert gzip.decompress(raw) == whole
    assert len(raw) < len(whole) / 3
    again = httpx.get(path, headers={"accept-encoding": "gzip", "if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/docs/nothing.js", "/docs/../__init__.py", "/docs/%2e%2e/__init__.py", "/docs/vendor"]
)
def test_nothing_else_is_served(keyed: Edge, path: str) -> None:
    """Neither what is not there nor what lies outside of its folder."""
    assert keyed.http.get(path).status_code in (401, 404)

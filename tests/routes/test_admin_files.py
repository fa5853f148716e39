"""The page's files: what is served, as what, and what browsers are told to hold it to."""

import base64
import gzip
import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from routes import EdgeSettings
from routes.admin.files import FOLDER, PageHandlers, policy
from routes.static import Static, takes_gzip
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.support.openapi import ConformingClient

FILES = sorted(
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*")
    if path.suffix in (".js", ".css", ".html", ".svg")
)


@pytest.fixture(scope="module")
def locked() -> Iterator[Edge]:
    """An edge that asks for a key."""
    with edge(api_key="one", admin_key="root", operator=FakeOperator()) as found:
        yield found


@pytest.fixture
def http(locked: Edge) -> Iterator[httpx.Client]:
    """Somebody without a key, who takes nothing compressed."""
    with ConformingClient(base_url=locked.url, headers={"accept-encoding": "identity"}) as client:
        yield client


def ask(found: Edge, target: str) -> tuple[int, bytes]:
    """Status and body of a GET whose target is sent as it stands."""
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", found.port), timeout=5) as connection:
        connection.sendall(head.encode("latin-1"))
        data = b""
        while piece := connection.recv(65536):
            data += piece
    head_, _, body = data.partition(b"\r\n\r\n")
    return int(head_.split()[1]), body


def test_the_page_needs_no_key_and_is_not_kept_blindly(http: httpx.Client) -> None:
    """It holds nothing secret; whoever has it asks whether it is still that."""
    answer = http.get("/admin")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.content == (FOLDER / "index.html").read_bytes()


def test_a_slash_at_the_end_leads_to_the_page(http: httpx.Client) -> None:
    """One address, whatever is asked along."""
    for path, location in (("/admin/", "/admin"), ("/admin/?a=b%20c", "/admin?a=b%20c")):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (308, location)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_as_it_is(http: httpx.Client, name: str) -> None:
    """With its type, so that a browser runs scripts as scripts; to HEAD with the same head."""
    types = {
        "js": "text/javascript; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "html": "text/html; charset=utf-8",
        "svg": "image/svg+xml",
    }
    answer, head = http.get(f"/admin/{name}"), http.head(f"/admin/{name}")
    assert answer.status_code == head.status_code == 200
    assert answer.headers["content-type"] == types[name.rpartition(".")[2]]
    assert answer.content == (FOLDER / name).read_bytes()
    assert head.content == b""
    for header in ("etag", "content-length", "content-type"):
        assert head.headers[header] == answer.headers[header]


def test_what_a_browser_has_is_not_sent_again(http: httpx.Client) -> None:
    """304 without a body for the same form of it; each form has a tag of its own."""
    packed = {"accept-encoding": "gzip, br"}
    plain_tag = http.get("/admin").headers["etag"]
    packed_tag = http.get("/admin", headers=packed).headers["etag"]
    assert plain_tag != packed_tag
    for tag, headers, status in (
        (plain_tag, {}, 304),
        (f'"x", W/{plain_tag}', {}, 304),
        ("*", {}, 304),
        (packed_tag, packed, 304),
        (packed_tag, {}, 200),
        (plain_tag, packed, 200),
        ('"x"', {}, 200),
    ):
        answer = http.get("/admin", headers={**headers, "if-none-match": tag})
        assert answer.status_code == status, (tag, headers)
        if status == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == (packed_tag if headers else plain_tag)
            assert answer.headers["content-security-policy"]


def test_text_is_compressed_for_those_who_take_it(locked: Edge) -> None:
    """And only for them; caches are told that it depends on that."""
    with httpx.Client(base_url=locked.url) as client, client.stream("GET", "/admin/app.css") as answer:
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) == len(raw)
        assert gzip.decompress(raw) == (FOLDER / "app.css").read_bytes()


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        (b"gzip", True),
        (b"GZIP;q=0.1, br", True),
        (b"br, deflate", False),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*", True),
        (b"*;q=0", False),
        (b"identity", False),
        (b"", False),
        (b"x-gzip", True),
        (b";;,=", False),
    ],
)
def test_who_takes_gzip(accepted: bytes, taken: bool) -> None:
    """As Accept-Encoding says by RFC 9110."""
    assert takes_gzip(accepted) is taken


OUTSIDE = [
    "/admin/../services.py",
    "/admin/..%2fhandlers.py",
    "/admin/%2e%2e/handlers.py",
    "/admin/%2e%2e%2fhandlers.py",
    "/admin/..%5chandlers.py",
    "/admin/app/..%2f..%2fhandlers.py",
    "/admin/./index.html",
    "/admin/app%2fapi.js",
    "/admin/app\\api.js",
    "/admin//index.html",
    "/admin//etc/passwd",
    "/admin/index.html%00.js",
    "/admin/index.html/",
    "/admin/INDEX.HTML",
    "/admin/",
    "/admin/app",
    "/admin/app/",
    "/admin/%c3%28",
    "/admin/" + "a/" * 500,
    "/admin/handlers.py",
    "/admin/.hidden.js",
    "/admin/..",
    "/admin%2findex.html",
    "/admin/api.js",
    "http://evil.example/admin/../../etc/passwd",
]


@pytest.mark.parametrize("target", OUTSIDE)
def test_no_spelling_of_a_path_leads_out_of_the_folder(locked: Edge, target: str) -> None:
    """What is not a file's own name is not there."""
    status, body = ask(locked, target)
    assert status in (301, 308, 400, 401, 404), body
    assert b"import" not in body
    assert b"root:" not in body


@pytest.mark.parametrize(
    "target",
    [
        "//admin//api//view",
        "/admin//api/view",
        "/admin/api//view",
        "/admin%2fapi%2fview",
        "/admin/%61pi/view",
        "/admin/./api/view",
        "/admin/x/../api/view",
        "/admin/api/session/../view",
        "/admin/api/view/",
        "/admin/api/view;x=1",
        "/ADMIN/api/view",
        "/admin/api/session/view",
        "/admin/api",
        "/admin/api/",
        "/docs/../admin/api/view",
        "/files/../admin/api/view",
        "http://localhost/admin/api/view",
    ],
)
def test_no_spelling_of_a_path_leads_past_the_guard(locked: Edge, target: str) -> None:
    """The page's files are open to everybody; what is beside them is not, however its path is written."""
    status, body = ask(locked, target)
    assert status in (400, 401, 404), body
    assert b'"accounts"' not in body


def test_only_files_of_known_types_that_lie_inside_are_served(tmp_path: Path) -> None:
    """What a link leads out to, what is hidden, and what a browser would not know are left where they are."""
    folder, outside = tmp_path / "static", tmp_path / "outside"
    for one in (folder / "app", folder / ".git", outside):
        one.mkdir(parents=True)
    for path in ("static/app/a.js", "static/.git/b.js", "static/.c.js", "static/d.py", "outside/e.js"):
        (tmp_path / path).write_text("secret")
    (folder / "f.js").symlink_to(outside / "e.js")
    (folder / "g").symlink_to(outside)
    (folder / "h.js").symlink_to(folder / "app" / "a.js")
    seen: list[str] = []

    def look(files: object) -> bytes:
        seen.extend(files)  # type: ignore[call-overload]
        return b"default-src 'none'"

    Static(folder, look)
    assert sorted(seen) == ["app/a.js", "h.js"]


def test_browsers_hold_the_page_to_its_own_files(locked: Edge, http: httpx.Client) -> None:
    """Scripts, styles and connections are the gateway's alone; nobody frames the page or learns its address."""
    for path in ("/admin", "/admin/app.css"):
        headers = http.get(path).headers
        rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert rules["default-src"] == "'self'"
        assert rules["img-src"] == "'self' data: blob:"
        assert rules["frame-ancestors"] == rules["base-uri"] == rules["object-src"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_names_nothing_but_its_own_files() -> None:
    """What stands in it itself is covered by the policy, and what it loads is there."""
    text = (FOLDER / "index.html").read_text()
    for source in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert source.startswith("/admin/"), source
        assert (FOLDER / source.removeprefix("/admin/")).is_file(), source
    assert not re.search(r"\son\w+=|style=", text)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_stands_in_the_page_itself_is_allowed_by_its_digest(ends: str) -> None:
    """Such as an import map: exactly this text, as a browser reads it, and no other."""
    script = f"{ends}{{'imports': {{'a': '/admin/a.js'}}}}{ends}"
    index = (
        f'<!doctype html><script type="importmap">{script}</script><script src="/admin/app.js"></script>'
        f"<style>a{{}}</style><SCRIPT>1 &lt; 2</SCRIPT>"
    )
    found = dict(rule.split(" ", 1) for rule in policy(index, ()).decode().split("; "))

    def digest(text: str) -> str:
        read = text.replace("\r\n", "\n").encode()
        return f"'sha256-{base64.b64encode(hashlib.sha256(read).digest()).decode()}'"

    assert found["script-src"] == f"'self' {digest(script)} {digest('1 &lt; 2')}"
    assert found["style-src"] == f"'self' {digest('a{}')}"


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"picture_origin": "https://s3.example:9000/bucket"}, " https://s3.example:9000"),
        ({"public_url": "https://gw.example"}, " https://gw.example"),
        ({"public_url": "http://[::1]:8100/x", "picture_origin": "http://[::1]:8100"}, " http://[::1]:8100"),
        ({"picture_origin": "/files/a.png"}, ""),
        ({"picture_origin": "https://a; script-src *"}, " https://a"),
    ],
)
def test_stored_pictures_may_come_from_where_they_are(settings: dict[str, str], allowed: str) -> None:
    """From the object store's or the gateway's public address; nothing else gets into the policy."""
    with edge(settings=EdgeSettings(**settings)) as found:  # type: ignore[arg-type]
        text = found.http.get("/admin").headers["content-security-policy"]
        assert f"img-src 'self' data: blob:{allowed}; object-src" in text


def test_a_folder_without_a_page_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """An installation without the page's files answers 404."""
    PageHandlers(EdgeSettings(), tmp_path / "nowhere")
    PageHandlers(EdgeSettings(), tmp_path)


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("TEXT/HTML", True),
        ("application/json, text/html;q=0.1", True),
        ("*/*", False),
        ("application/json", False),
        ("text/*", False),
        ("text/html;q=0", False),
        (None, False),
    ],
)
def test_the_root_leads_browsers_to_the_page_and_tells_programs_where_to_go_on(
    locked: Edge, accept: str | None, page: bool
) -> None:
    """By what they accept, which caches are told."""
    with ConformingClient(base_url=locked.url) as client:
        del client.headers["accept"]
        answer = client.get("/", headers={"accept": accept} if accept else {})
        assert "Accept" in answer.headers["vary"]
        if page:
            assert (answer.status_code, answer.headers["location"]) == (302, "/admin")
        else:
            assert (answer.json()["admin"], answer.json()["docs"]) == ("/admin", "/docs")

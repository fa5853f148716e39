"""Links that callers can follow."""

from typing import Any

import pytest

from routes import EdgeSettings
from routes.exchange import Exchange
from routes.links import absolute


def link(
    headers: dict[str, str],
    settings: EdgeSettings | None = None,
    scheme: str = "http",
    server: Any = ("10.0.0.7", 8100),
    path: str = "/files/a.png",
) -> str:
    async def never(*_: Any) -> Any:
        raise AssertionError

    scope: Any = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": scheme, "server": server,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    exchange = Exchange(
        scope, never, never, request_id="r", settings=settings or EdgeSettings(), monotonic=lambda: 0.0
    )
    return absolute(exchange, path)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("gate.example", "http://gate.example"),
        ("gate.example:8443", "http://gate.example:8443"),
        ("127.0.0.1:8100", "http://127.0.0.1:8100"),
        ("[::1]:8100", "http://[::1]:8100"),
        ("evil.example/x", "http://10.0.0.7:8100"),
        ("a b", "http://10.0.0.7:8100"),
        ('x"><script>', "http://10.0.0.7:8100"),
        ("user@evil.example", "http://10.0.0.7:8100"),
        ("k\u00f6ter", "http://10.0.0.7:8100"),
        ("", "http://10.0.0.7:8100"),
    ],
)
def test_a_path_of_ours_goes_behind_the_requests_host(host: str, origin: str) -> None:
    """A Host that is none is not repeated; the server's own address stands in."""
    assert link({"host": host}) == f"{origin}/files/a.png"


def test_the_configured_address_comes_first() -> None:
    """With or without a slash at its end, and with a path of its own."""
    for url in ("https://pics.example/gw", "https://pics.example/gw/"):
        assert link({"host": "x"}, EdgeSettings(public_url=url)) == "https://pics.example/gw/files/a.png"


def test_a_proxy_is_believed_where_one_is_configured() -> None:
    """Its word for the host; the scheme has been set by the server already."""
    headers = {"host": "inner:8100", "x-forwarded-host": "gate.example, inner2"}
    assert link(headers) == "http://inner:8100/files/a.png"
    behind = EdgeSettings(trusted_proxies=("10.0.0.0/8",))
    assert link(headers, behind, scheme="https") == "https://gate.example/files/a.png"
    assert link({"host": "inner:8100"}, behind) == "http://inner:8100/files/a.png"


def test_without_any_host_the_servers_address_is_used() -> None:
    """As HTTP/1.0 allows; also over IPv6 and on a unix socket."""
    assert link({}) == "http://10.0.0.7:8100/files/a.png"
    assert link({}, server=("::1", 80)) == "http://[::1]:80/files/a.png"
    assert link({}, server=("/run/gempool.sock", None)) == "http://localhost/files/a.png"
    assert link({}, server=None) == "http://localhost/files/a.png"


def test_a_whole_address_stays_as_it_is() -> None:
    """Such as an object store's."""
    url = "https://s3.example/b/a.png?X-Amz-Signature=1"
    assert link({"host": "x"}, EdgeSettings(public_url="https://y"), path=url) == url

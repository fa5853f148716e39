"""Who is let in, over the wire."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routes import EdgeSettings
from routes.guards import is_loopback_address, is_loopback_host, is_trusted_origin
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator

CLOSED = [
    "/v1/models",
    "/v1beta/models",
    "/api/models",
    "/api/info",
    "/metrics",
    "/nope",
    "/gemini/nope",
    "/v1/chat/completions",
]


@pytest.fixture(scope="module")
def locked() -> Iterator[Edge]:
    """An edge that asks for a key."""
    with edge(
        api_key="one,two",
        admin_key="root",
        facts={"watermark_removal": True, "store": {"name": "s", "keys": 3}},
    ) as found:
        yield found


@pytest.mark.parametrize("path", CLOSED)
def test_every_route_is_closed_without_a_key(locked: Edge, path: str) -> None:
    """Unknown routes included: 401 in the path's dialect, with WWW-Authenticate and a request id."""
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic one"},
        {"x-api-key": "on"},
    ):
        response = locked.http.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["x-request-id"]
        error = response.json()["error"]
        if path.startswith(("/v1beta", "/gemini")):
            assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
        else:
            assert (error["code"], error["type"]) == ("invalid_api_key", "authentication_error")


@pytest.mark.parametrize("key", ["one", "two", "root"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/metrics", "/api/info"])
def test_every_way_of_sending_a_key_works(locked: Edge, path: str, key: str) -> None:
    """Bearer (in any case), x-api-key, x-goog-api-key and ?key=; a wrong one beside a right one does no harm."""
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer  {key}"},
        {"x-api-key": key},
        {"x-goog-api-key": key},
        {"authorization": "Bearer dummy", "x-api-key": key},
    ):
        assert locked.http.get(path, headers=headers).status_code == 200
    if key != "root":
        assert locked.http.get(path, params={"key": key}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-admin-key": "root-key"}, {"x-api-key": "one"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"), ("GET", "/v1beta/models"), ("POST", "/v1/chat/completions"), ("GET", "/metrics"),
        ("GET", "/admin/api/view"), ("POST", "/admin/api/accounts/alice/disable"), ("POST", "/api/cookies"), ("GET", "/nope"),
    ],
)  # fmt: skip
def test_the_admin_key_is_not_taken_from_the_address(method: str, path: str, headers: dict[str, str]) -> None:
    """401 on every route, whatever is sent besides, which says where it belongs and does not repeat it: addresses stand in the
    logs of proxies."""
    with edge(api_key="one", admin_key="root-key", operator=FakeOperator(), cookies=FakeCookies()) as found:
        for query in ("key=root-key", "key=%72oot-key"):
            answer = found.http.request(method, f"{path}?{query}", headers=headers)
            error = answer.json()["error"]
            assert answer.status_code == 401
            assert "x-admin-key" in error["message"]
            assert "root-key" not in answer.text + str(answer.headers)


def test_open_routes_take_whoever_shows_the_admin_key_in_the_address_for_a_stranger(locked: Edge) -> None:
    """They stay open, and tell what they tell everybody."""
    assert locked.http.get("/health?key=root").json()["store"] == {"keys": 3}
    assert locked.http.get("/health?key=one").json()["store"] == {"name": "s", "keys": 3}


def test_health_ready_root_and_preflights_are_open(locked: Edge) -> None:
    """These need no key, and only with the methods that they have."""
    for path in ("/health", "/ready", "/", "/health/"):
        assert locked.http.get(path).status_code == 200
        assert locked.http.head(path).status_code == 200
    assert locked.http.options("/v1/chat/completions").status_code == 204
    assert locked.http.post("/health").status_code == 401


def test_health_without_a_key_tells_counts_only(locked: Edge) -> None:
    """Words and names are for those with a key."""
    open_, known = (
        locked.http.get("/health").json(),
        locked.http.get("/health", headers={"x-api-key": "one"}).json(),
    )
    assert open_["store"] == {"keys": 3}
    assert known["store"] == {"name": "s", "keys": 3}
    assert open_["watermark_removal"] is known["watermark_removal"] is True


def test_metrics_may_be_opened() -> None:
    """`metrics_open` opens `/metrics` and nothing else, and nobody whom a proxy lets through."""
    with edge(api_key="one", settings=EdgeSettings(metrics_open=True)) as found:
        for path in ("/metrics", "/metrics/"):
            assert found.http.get(path).status_code == 200
            for name in ("x-forwarded-for", "x-real-ip", "forwarded"):
                through = {name: "for=127.0.0.1"}
                assert found.http.get(path, headers=through).status_code == 401
                assert found.http.get(path, headers={**through, "x-api-key": "one"}).status_code == 200
        assert found.http.get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8100"},
        {"host": "localhost.evil.example"},
        {"host": "192.168.1.5"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "null"},
        {"host": "[::1].evil.example"},
        {"host": "[::1]evil.example"},
        {"host": "127.0.0.1@evil.example"},
        {"host": "evil.example#localhost"},
        {"host": "localhost,evil.example"},
        {"origin": "http://[::1].evil.example"},
        {"origin": "chrome-extension://abcdefghijklmnop"},
        {"origin": "moz-extension://0b6b3c1e"},
        {"origin": "safari-web-extension://0B6B3C1E"},
        {"origin": "localhost"},
        {"origin": "garbage"},
        {"origin": "file:// https://evil.example"},
    ],
)
def test_without_any_key_a_web_page_cannot_reach_in(gate: Edge, headers: dict[str, str]) -> None:
    """Neither across origins nor by a name that resolves to loopback; the message tells what to set."""
    response = gate.http.post("/v1/generate", json={"prompt": "hi"}, headers=headers)
    assert response.status_code == 403
    assert "API_KEY" in response.json()["error"]["message"]
    assert gate.chat.asks == []
    google = gate.http.get("/v1beta/models", headers=headers)
    assert google.json()["error"]["status"] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "203.0.113.9"},
        {"x-forwarded-for": "127.0.0.1, 203.0.113.9"},
        {"x-forwarded-for": "203.0.113.9, 127.0.0.1"},
        {"x-forwarded-for": "unknown"},
        {"x-real-ip": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9;proto=https"},
        {"forwarded": 'for=127.0.0.1, For="[2001:db8::1]:4711"'},
        {"forwarded": "for=_hidden"},
    ],
)
@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)])
def test_without_any_key_nobody_comes_through_a_proxy_on_this_machine(
    headers: dict[str, str], proxies: tuple[str, ...]
) -> None:
    """Who says that a request comes from elsewhere is believed that much, whether a trusted proxy or not."""
    with edge(settings=EdgeSettings(trusted_proxies=proxies)) as found:
        response = found.http.get("/v1/models", headers=headers)
        assert response.status_code == 403
        assert "API_KEY" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("proxies", "sent", "caller"),
    [
        ((), ["203.0.113.9"], "ip:127.0.0.1"),
        (("10.0.0.0/8",), ["203.0.113.9"], "ip:127.0.0.1"),
        (("127.0.0.1",), ["203.0.113.9"], "ip:203.0.113.9"),
        (("127.0.0.1",), ["1.1.1.1, 203.0.113.9"], "ip:203.0.113.9"),
        (("127.0.0.1",), ["1.1.1.1", "203.0.113.9"], "ip:203.0.113.9"),
        (("127.0.0.1", "10.0.0.0/8"), ["203.0.113.9, 10.2.3.4"], "ip:203.0.113.9"),
        (("127.0.0.1",), ["203.0.113.9, not an address"], "ip:127.0.0.1"),
        (("127.0.0.1",), ["2001:db8:1:2:3::4"], "ip:2001:db8:1:2:3::4"),
        (("127.0.0.1",), ["2001:DB8:1:2:3::4", "", ","], "ip:2001:db8:1:2:3::4"),
        (("127.0.0.1",), [", , 203.0.113.9,"], "ip:203.0.113.9"),
        (("127.0.0.1",), [""], "ip:127.0.0.1"),
    ],
)
def test_the_callers_address_comes_from_trusted_proxies_only(
    proxies: tuple[str, ...], sent: list[str], caller: str
) -> None:
    """X-Forwarded-For is believed where `server.trusted_proxies` lists who says it: the rightmost address that is none
    of them. What is empty in the list says nothing."""
    with edge(settings=EdgeSettings(trusted_proxies=proxies, allow_anonymous=True)) as found:
        headers = [("x-forwarded-for", line) for line in sent]
        assert found.http.post("/v1/generate", json={"prompt": "hi"}, headers=headers).status_code == 200
        assert found.chat.asks[-1].caller == caller


@pytest.mark.parametrize(
    ("proxies", "said", "scheme"),
    [
        ((), "https", "http"),
        (("127.0.0.1",), "https", "https"),
        (("127.0.0.1",), "https, http", "https"),
        (("127.0.0.1",), "javascript", "http"),
    ],
)
def test_the_scheme_of_links_comes_from_trusted_proxies_only(
    proxies: tuple[str, ...], said: str, scheme: str
) -> None:
    """X-Forwarded-Proto is believed from them, and says http or https."""
    with edge(settings=EdgeSettings(trusted_proxies=proxies, allow_anonymous=True)) as found:
        order = {"prompt": "a cat", "response_format": "url"}
        answer = found.http.post("/v1/images/generations", json=order, headers={"x-forwarded-proto": said})
        assert answer.json()["data"][0]["url"].startswith(f"{scheme}://127.0.0.1")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8100"},
        {"x-forwarded-for": "127.0.0.1, ::1"},
        {"x-forwarded-for": ""},
        {"x-forwarded-for": ", 127.0.0.1,", "x-real-ip": ""},
        {"host": "127.0.0.1"},
        {"host": "[::1]:8100"},
        {"host": "app.localhost"},
        {"origin": "http://localhost:3000"},
        {"origin": "file://"},
        {"origin": "app://obsidian.md"},
        {"origin": "tauri://localhost"},
        {"origin": "http://tauri.localhost"},
        {"origin": "capacitor://localhost"},
        {"origin": "vscode-webview://0b6b3c1e"},
        {"host": "localhost."},
        {"host": "LOCALHOST:80"},
        {"host": "[::ffff:127.0.0.1]"},
        {"sec-fetch-mode": "cors", "accept-language": "*"},
    ],
)
def test_without_any_key_this_machine_is_served(gate: Edge, headers: dict[str, str]) -> None:
    """With no key configured, a caller on this machine needs none."""
    assert gate.http.post("/v1/generate", json={"prompt": "hi"}, headers=headers).status_code == 200


def test_anonymous_callers_may_be_allowed() -> None:
    """`allow_anonymous` lifts what keeps strangers out, for those who mean it."""
    with edge(settings=EdgeSettings(allow_anonymous=True)) as found:
        headers = {"host": "gateway.example", "origin": "https://app.example"}
        assert found.http.get("/v1/models", headers=headers).status_code == 200


@given(st.ip_addresses(v=4))
def test_loopback_is_loopback_and_nothing_else(address: object) -> None:
    """For addresses as they are, mapped into IPv6, in a Host header and in an Origin."""
    expected = str(address).startswith("127.")
    assert is_loopback_address(str(address)) is expected
    assert is_loopback_address(f"::ffff:{address}") is expected
    assert is_loopback_host(f"{address}:80") is expected
    assert is_trusted_origin(f"http://{address}:80") is expected


@given(st.text())
def test_no_host_or_origin_crashes_the_guard(text: str) -> None:
    """Whatever a header holds, the answer is yes or no."""
    assert is_loopback_host(text) in (True, False)
    assert is_trusted_origin(text) in (True, False)

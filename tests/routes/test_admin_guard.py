"""No other page acts with the operator's session."""

from collections.abc import Iterator

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from access import Proxies
from routes import EdgeSettings
from routes.cookie import is_the_pages, tokens_in
from routes.exchange import Exchange
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.support.browser import COOKIE, SECURE_COOKIE, browser, cookie, token
from tests.support.openapi import ConformingClient

VIEW, LIVE, SESSION = "/admin/api/view", "/admin/api/live", "/admin/api/session"
DISABLE = "/admin/api/accounts/alice/disable"
OPERATOR = FakeOperator(brief=True)
HOST = "gw.example"
SIGNED_IN = cookie(token())


@pytest.fixture(scope="module")
def locked() -> Iterator[Edge]:
    """An edge with an API key and an admin key."""
    with edge(api_key="one", admin_key="root", operator=OPERATOR, cookies=FakeCookies()) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh() -> None:
    OPERATOR.reset()


def plain(found: Edge) -> ConformingClient:
    """A client that sends nothing by itself."""
    return ConformingClient(base_url=found.url, headers={"host": HOST, **SIGNED_IN})


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"http://{HOST}.evil.example"},
    {"origin": f"http://evil.example#{HOST}"},
    {"origin": f"http://{HOST}:9000"},
    {"origin": f"http://user@{HOST}"},
    {"origin": f"http://{HOST}/"},
    {"origin": HOST},
    {"origin": f"file://{HOST}"},
    {"origin": ""},
    {"origin": "http://127.0.0.1"},
    {"origin": f"http://{HOST}", "sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://elsewhere.example", "x-forwarded-host": "elsewhere.example"},
]
OWN = [
    {},
    {"origin": f"http://{HOST}"},
    {"origin": f"HTTP://{HOST.upper()}"},
    {"origin": f"http://{HOST}:80"},
    {"origin": f"https://{HOST}"},
    {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_pages_request_is_not_the_operators(locked: Edge, headers: dict[str, str]) -> None:
    """Neither what changes something, though it had the page's header, nor what is read: 403 that says why, and nothing is
    done."""
    with plain(locked) as client:
        for method, path in (("POST", DISABLE), ("GET", VIEW), ("GET", LIVE), ("GET", "/v1/models")):
            answer = client.request(method, path, headers={**headers, "x-gempool-page": "1"})
            assert answer.status_code == 403, (method, path)
            assert "another origin" in answer.json()["error"]["message"]
            assert "set-cookie" not in answer.headers
    assert OPERATOR.done == []
    assert OPERATOR.opened == 0


@pytest.mark.parametrize("headers", OWN)
def test_the_pages_own_requests_count(locked: Edge, headers: dict[str, str]) -> None:
    """However the browser writes their origin; those that read need no header, as an event stream can send none."""
    with plain(locked) as client:
        assert client.get(VIEW, headers=headers).status_code == 200
        assert client.head(VIEW, headers=headers).status_code == 200
        assert client.post(DISABLE, headers={**headers, "x-gempool-page": "1"}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-gempool-page": "0"}, {"x-gempool-page": ""}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", DISABLE),
        ("POST", "/v1/chat/completions"),
        ("POST", "/api/cookies"),
        ("POST", "/v1beta/models/gemini-2.5-pro:generateContent"),
        ("DELETE", "/v1/batch/batch_1"),
    ],
)
def test_what_changes_something_needs_the_pages_header(
    locked: Edge, method: str, path: str, headers: dict[str, str]
) -> None:
    """A form on another site sends cookies where a browser lets it, but never this header."""
    with plain(locked) as client:
        answer = client.request(
            method, path, headers=headers, json={"prompt": "x"} if method == "POST" else None
        )
        assert answer.status_code == 403
        assert "x-gempool-page" in answer.json()["error"]["message"]
    assert OPERATOR.done == []


def test_no_answer_lets_another_origin_send_cookies(locked: Edge) -> None:
    """Neither to a preflight, whatever it asks for, nor anywhere else: without this header browsers keep cookies back, or the
    answer to themselves."""
    for settings in (EdgeSettings(), EdgeSettings(cors_origins=("https://app.example",))):
        with edge(admin_key="root", operator=OPERATOR, settings=settings) as found, plain(found) as client:
            asked = {
                "origin": "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "x-gempool-page,content-type",
            }
            for path in (DISABLE, SESSION, "/v1/chat/completions"):
                assert "access-control-allow-credentials" not in client.options(path, headers=asked).headers
            answer = client.post(DISABLE, headers={**asked, "x-gempool-page": "1"})
            assert answer.status_code == 403
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_no_other_page_signs_in_or_out(locked: Edge, method: str) -> None:
    """So that none uses up the tries of whoever visits it, nor signs them out."""
    with plain(locked) as client:
        body = {"key": "root"} if method == "POST" else None
        answer = client.request(method, SESSION, json=body, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        own = client.request(method, SESSION, json=body, headers={"origin": f"http://{HOST}"})
        assert own.status_code in (200, 204)


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        (
            EdgeSettings(trusted_proxies=("127.0.0.1",)),
            {"x-forwarded-host": f"{HOST}, inner", "x-forwarded-proto": "https", "host": "10.0.0.1:8100"},
        ),
        (EdgeSettings(trusted_proxies=("127.0.0.1",)), {"x-forwarded-proto": "https", "host": HOST}),
        (EdgeSettings(public_url=f"https://{HOST}"), {"host": "10.0.0.1:8100"}),
        (EdgeSettings(public_url=f"https://{HOST}:443/gateway"), {"host": "10.0.0.1:8100"}),
        (EdgeSettings(), {"host": HOST}),
    ],
    ids=["forwarded host", "forwarded scheme", "public url", "public url with a path", "nothing said"],
)
def test_the_page_works_behind_a_proxy(settings: EdgeSettings, sent: dict[str, str]) -> None:
    """That ends TLS: where it passes the host on in either header, or the public address is set; the page's origin is that
    address, over https."""
    with edge(api_key="one", admin_key="root", operator=OPERATOR, settings=settings) as found:
        headers = {**SIGNED_IN, **sent, "origin": f"https://{HOST}", "x-gempool-page": "1"}
        with ConformingClient(base_url=found.url, headers=headers) as client:
            assert client.post(DISABLE).status_code == 200
            assert client.post(DISABLE, headers={"origin": "https://evil.example"}).status_code == 403
            assert client.post(SESSION, json={"key": "root"}).status_code == 200


def test_over_https_a_page_over_http_is_another() -> None:
    """Somebody on the way can write what is not encrypted."""
    settings = EdgeSettings(trusted_proxies=("127.0.0.1",))
    with edge(admin_key="root", operator=OPERATOR, settings=settings) as found:
        headers = {"x-forwarded-proto": "https", "x-gempool-page": "1"}
        with plain(found) as client:
            for scheme, status in (("https", 200), ("http", 403)):
                origin = {"origin": f"{scheme}://{HOST}"}
                assert client.post(DISABLE, headers={**headers, **origin}).status_code == status


def test_a_proxy_that_is_not_listed_names_no_host() -> None:
    """Anybody can write the header."""
    settings = EdgeSettings(trusted_proxies=("10.0.0.1",))
    with edge(admin_key="root", operator=OPERATOR, settings=settings) as found, plain(found) as client:
        headers = {"x-forwarded-host": "evil.example", "origin": "http://evil.example", "x-gempool-page": "1"}
        assert client.post(DISABLE, headers=headers).status_code == 403


def test_a_session_opens_nothing_where_there_is_no_admin_key() -> None:
    """Then nobody can have signed in, and the cookie is none of ours."""
    with edge(api_key="one", operator=OPERATOR) as found, plain(found) as client:
        answer = client.get(VIEW)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@generated(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0")))
def test_no_cookie_and_no_origin_crashes_the_guard(text: str) -> None:
    """Whatever the headers hold, the answer is yes or no."""

    async def nothing(*_: object) -> object:
        return None

    raw = text.encode("latin-1")
    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "scheme": "http", "client": None,
        "headers": [(b"cookie", raw), (b"origin", raw), (b"host", raw), (b"x-gempool-page", b"1")],
    }  # fmt: skip
    assert isinstance(tokens_in(scope), list)  # type: ignore[arg-type]
    exchange = Exchange(
        scope,  # type: ignore[arg-type]
        nothing,
        nothing,  # type: ignore[arg-type]
        request_id="x",
        settings=EdgeSettings(public_url=text),
        monotonic=lambda: 0.0,
    )
    assert is_the_pages(exchange, Proxies()) in (True, False)


@pytest.mark.parametrize("name", [COOKIE, SECURE_COOKIE])
@pytest.mark.parametrize("form", ["{n}={t}", "a=b; {n}={t}", "{n}={t};a=b", '{n}="{t}" ; x', "a;;{n}={t};"])
def test_the_cookie_is_found_among_others(locked: Edge, name: str, form: str) -> None:
    """However the header is put together."""
    with browser(locked) as page:
        assert page.get(VIEW, headers={"cookie": form.format(n=name, t=token())}).status_code == 200

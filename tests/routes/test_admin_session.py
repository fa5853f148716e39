"""Signing in to the operator's page, and what a session is good for."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from access import hashed
from core.errors import NoAccount
from core.secret import Secret
from routes import EdgeSettings
from tests.fakes.cookies import FakeCookies
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import FakeOperator
from tests.fakes.server import until
from tests.support.browser import PAGE, SECURE_COOKIE, browser, cookie, given, signed_in, token
from tests.support.store import valkey

SESSION, VIEW = "/admin/api/session", "/admin/api/view"
DISABLE = "/admin/api/accounts/alice/disable"
OPERATOR = FakeOperator()


@pytest.fixture(scope="module")
def locked() -> Iterator[Edge]:
    """An edge with an API key and an admin key."""
    with edge(api_key="one", admin_key="root", operator=OPERATOR, cookies=FakeCookies()) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Every test begins with the desk as new."""
    OPERATOR.reset()


def test_the_admin_key_signs_in(locked: Edge) -> None:
    """The page is told that it has to, the key gives a cookie that no script reads and no other site sends, and then
    everything of the page's is open."""
    with browser(locked) as page:
        assert page.get(SESSION).json() == {
            "needed": True, "signed_in": False, "expires_at": None, "version": "1.2.3", "why": ""
        }  # fmt: skip
        assert page.get(VIEW).status_code == 401
        answer = page.post(SESSION, json={"key": " root\n"})
        assert (answer.status_code, answer.json()["signed_in"]) == (200, True)
        assert 3590 < answer.json()["expires_at"] - time.time() <= 3600
        assert answer.headers["cache-control"] == "no-store"
        found = given(answer)
        assert found["name"] == "gempool_session"
        assert (found["httponly"], found["samesite"], found["path"]) == ("", "Strict", "/")
        assert 3590 <= int(found["max-age"]) <= 3600
        assert not {"secure", "domain", "expires"} & set(found)
        assert page.get(SESSION).json() == answer.json()
        assert page.get(VIEW).json()["now"]["replica"] == "one"


def test_signing_out_takes_the_cookie_back(locked: Edge) -> None:
    """204, and the browser forgets it; somebody who is not signed in may do so too."""
    with signed_in(locked) as page:
        answer = page.delete(SESSION)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (given(answer)["value"], given(answer)["max-age"]) == ("", "0")
        assert page.get(SESSION).json()["signed_in"] is False
        assert page.get(VIEW).status_code == 401
        assert page.delete(SESSION).status_code == 204
        assert page.delete(SESSION, headers=cookie(token(age=4000))).status_code == 204


def test_signing_out_ends_the_session_wherever_its_cookie_is(locked: Edge) -> None:
    """A copy is told that it is over, on every route; whoever is signed in besides, on the same machine too, stays so."""
    with signed_in(locked) as page, signed_in(locked) as another:
        copy = cookie(page.cookies["gempool_session"])
        assert page.delete(SESSION).status_code == 204
        for path in (VIEW, "/v1/models", "/api/cookies/status"):
            answer = page.get(path, headers=copy)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "session_expired")
        assert page.post(DISABLE, headers=copy).status_code == 401
        assert page.get(SESSION, headers=copy).json()["signed_in"] is False
        assert another.get(VIEW).status_code == 200
        assert page.post(SESSION, json={"key": "root"}).status_code == 200
        assert page.get(VIEW).status_code == 200


@pytest.mark.parametrize("leaves_with", ["old", "new"])
def test_a_renewed_session_ends_with_its_older_cookies(locked: Edge, leaves_with: str) -> None:
    """And with its newer ones: whichever of them signs out."""
    old = token(age=2000)
    with browser(locked) as page:
        new = given(page.get(VIEW, headers=cookie(old)))["value"]
        page.cookies.clear()
        assert old != new
        assert page.delete(SESSION, headers=cookie({"old": old, "new": new}[leaves_with])).status_code == 204
        for shown in (old, new):
            assert page.get(VIEW, headers=cookie(shown)).status_code == 401


def test_another_sites_page_ends_no_session(locked: Edge) -> None:
    """Nor does whoever changes a cookie's text."""
    good = token()
    with browser(locked) as page:
        evil = {**cookie(good), "origin": "https://evil.example"}
        assert page.delete(SESSION, headers=evil).status_code == 403
        forged = f"{good.rpartition('.')[0]}.{'A' * 43}"
        assert page.delete(SESSION, headers=cookie(forged)).status_code == 204
        assert page.get(VIEW, headers=cookie(good)).status_code == 200


def test_signing_out_while_the_store_is_away(tmp_path: Path) -> None:
    """Here the session has ended at once and the cookie is taken back; the answer says that other replicas do not know, and
    they are told when the store is back."""
    both: dict[str, Any] = {"admin_key": "root", "operator": OPERATOR, "sign_outs": f"unix://{tmp_path}/s"}
    with edge(**both) as one, edge(**both) as two, signed_in(one) as page, browser(two) as other:
        copy = cookie(page.cookies["gempool_session"])
        answer = page.delete(SESSION)
        assert (answer.status_code, answer.json()["told"]) == (200, False)
        assert "other replicas could not be told" in answer.json()["why"]
        assert (given(answer)["value"], given(answer)["max-age"]) == ("", "0")
        assert page.get(VIEW, headers=copy).status_code == 401
        assert other.get(VIEW, headers=copy).status_code == 200
        with valkey(tmp_path):
            until(lambda: other.get(VIEW, headers=copy).status_code == 401)


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ({"key": "wrong"}, 401, "key", "not the admin key"),
        ({"key": "one"}, 401, "key", "an API key"),
        ({"key": ""}, 400, "key", "empty"),
        ({"key": "  "}, 400, "key", "empty"),
        ({"key": None}, 400, "key", "str"),
        ({"key": ["root"]}, 400, "key", "str"),
        ({}, 400, "key", "missing"),
        ({"key": "ключ 🔑" * 20}, 401, "key", "not the admin key"),
        ({"key": "x" * 20_000}, 413, None, "16384"),
    ],
)
def test_what_is_not_the_admin_key_is_refused(
    body: dict[str, object], status: int, param: str | None, words: str
) -> None:
    """With a sentence and the field, and without any cookie."""
    with edge(api_key="one", admin_key="root", operator=OPERATOR) as found, browser(found) as page:
        answer = page.post(SESSION, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (status, param)
        assert words in error["message"]
        assert "set-cookie" not in answer.headers


def test_a_body_that_is_no_json_is_refused(locked: Edge) -> None:
    """By its type, or by where it breaks; what it holds is not repeated."""
    with browser(locked) as page:
        form = page.post(SESSION, data={"key": "hunter2hunter2"})
        broken = page.post(
            SESSION, content=b'{"key": "hunter2hunter2"', headers={"content-type": "text/json"}
        )
        assert (form.status_code, broken.status_code) == (415, 400)
        assert "hunter2" not in form.text + broken.text


def test_ten_wrong_keys_a_minute_and_no_more() -> None:
    """The eleventh try is 429 with the wait, also with the right key; who comes from elsewhere is not held up, and neither is
    anybody who shows a key or a session."""
    settings = EdgeSettings(trusted_proxies=("127.0.0.1",))
    with (
        edge(admin_key="root", operator=OPERATOR, settings=settings) as found,
        browser(found, x_forwarded_for="2001:db8::1") as page,
    ):
        for _ in range(10):
            assert page.post(SESSION, json={"key": "wrong"}).status_code == 401
        for key in ("wrong", "root"):
            answer = page.post(SESSION, json={"key": key})
            assert answer.status_code == 429
            assert 30 <= int(answer.headers["retry-after"]) <= 60
            assert "set-cookie" not in answer.headers
        assert page.get(VIEW, headers={"x-admin-key": "root"}).status_code == 200
        assert page.get(VIEW, headers=cookie(token())).status_code == 200
        neighbour = {"x-forwarded-for": "2001:db8::2"}
        assert page.post(SESSION, json={"key": "root"}, headers=neighbour).status_code == 429
        elsewhere = {"x-forwarded-for": "2001:db8:0:1::1"}
        assert page.post(SESSION, json={"key": "root"}, headers=elsewhere).status_code == 200


def test_right_keys_are_not_counted(locked: Edge) -> None:
    """Somebody may sign in as often as they like."""
    with browser(locked) as page:
        assert {page.post(SESSION, json={"key": "root"}).status_code for _ in range(15)} == {200}


@pytest.mark.parametrize(
    ("proxies", "said", "secure"),
    [((), "https", False), (("127.0.0.1",), "https", True), (("127.0.0.1",), "http", False)],
)
def test_the_cookie_is_bound_to_https_where_the_page_is_reached_so(
    proxies: tuple[str, ...], said: str, secure: bool
) -> None:
    """As a trusted proxy says; then it has the prefix that binds it to this very host."""
    with edge(
        admin_key="root",
        operator=OPERATOR,
        settings=EdgeSettings(trusted_proxies=proxies, allow_anonymous=True),
    ) as found:
        headers = {"x_forwarded_proto": said, "x_forwarded_for": "203.0.113.9"}
        with browser(found, **headers) as page:
            answer = page.post(SESSION, json={"key": "root"})
            cookie_ = given(answer)
            assert ("secure" in cookie_) is secure
            assert cookie_["name"] == (SECURE_COOKIE if secure else "gempool_session")
            shown = cookie(cookie_["value"], cookie_["name"])
            assert page.get(VIEW, headers=shown).status_code == 200
            gone = page.delete(SESSION, headers=shown).headers.get_list("set-cookie")
            assert any(line.startswith(f"{cookie_['name']}=;") for line in gone)
            assert all(("Secure" in line) is line.startswith("__Host-") for line in gone)


def test_a_session_is_good_in_every_replica_and_after_a_restart() -> None:
    """With the same ADMIN_KEY and GEMPOOL_STATE_KEY, and with no store between them."""
    with (
        edge(admin_key="root", state_key="s", operator=OPERATOR) as one,
        edge(admin_key="root", state_key="s", operator=OPERATOR) as two,
        edge(admin_key="root", state_key="other", operator=OPERATOR) as three,
        signed_in(one) as page,
    ):
        shown = cookie(page.cookies["gempool_session"])
        with browser(two) as other:
            assert other.get(VIEW, headers=shown).status_code == 200
        with browser(three) as other:
            answer = other.get(VIEW, headers=shown)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "session_expired")


@pytest.mark.parametrize("path", [VIEW, "/v1/models", "/v1beta/models", "/api/cookies/status", "/nope"])
@pytest.mark.parametrize(
    "over",
    [token(age=4000), token("another"), "v1.2.3", token()[:-1]],
    ids=["expired", "rotated", "rubbish", "cut"],
)
def test_a_session_that_is_over_is_told_as_such(locked: Edge, path: str, over: str) -> None:
    """401 with a code of its own and the remedy, on every route that needs a key."""
    with browser(locked) as page:
        answer = page.get(path, headers=cookie(over))
        assert answer.status_code == 401
        error = answer.json()["error"]
        assert "Sign in again" in error["message"]
        if not path.startswith("/v1beta"):
            assert error["code"] == "session_expired"
        assert page.get(SESSION, headers=cookie(over)).json()["signed_in"] is False


def test_of_several_cookies_one_that_is_good_will_do(locked: Edge) -> None:
    """A browser may hold one of before, such as from before the page was reached over https."""
    both = f"{SECURE_COOKIE}={token(age=4000)}; other=1; gempool_session={token()}"
    with browser(locked) as page:
        assert page.get(VIEW, headers={"cookie": both}).status_code == 200


def test_using_the_page_renews_a_session_that_is_half_over(locked: Edge) -> None:
    """The answer sets a new cookie; before that, and where the cookie does not count, none is set."""
    half, young = cookie(token(age=2000)), cookie(token(age=1000))
    with browser(locked) as page:
        for path in (VIEW, "/v1/models", SESSION):
            answer = page.get(path, headers=half)
            assert answer.status_code == 200
            renewed = given(answer)["value"]
            assert page.get(VIEW, headers=cookie(renewed)).status_code == 200
            assert int(given(answer)["max-age"]) >= 3590
            page.cookies.clear()
            assert "set-cookie" not in page.get(path, headers=young).headers
        told = page.get(SESSION, headers=half).json()
        assert told["expires_at"] - time.time() > 3590
        for path in ("/admin", "/health", "/ready", "/openapi.json"):
            assert "set-cookie" not in page.get(path, headers=half).headers
        cross = page.post(DISABLE, headers={**half, "origin": "https://evil.example"})
        assert "set-cookie" not in cross.headers
        assert "set-cookie" not in page.get(VIEW, headers={**half, "x-admin-key": "root"}).headers


def test_a_shown_key_goes_before_the_cookie(locked: Edge) -> None:
    """Whoever shows a key is who the key says: the session neither helps a wrong one nor lifts an API key."""
    with browser(locked) as page:
        wrong = page.get(VIEW, headers={**cookie(token()), "authorization": "Bearer nope"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
        weak = page.get(VIEW, headers={**cookie(token()), "x-api-key": "one"})
        assert weak.status_code == 403
        basic = page.get(VIEW, headers={**cookie(token()), "authorization": "Basic dTpw"})
        assert basic.status_code == 200, "a proxy's own password is no key of ours"


@pytest.mark.parametrize(
    "headers",
    [{"x-admin-key": "root"}, {"authorization": "Bearer root"}],
)
def test_the_admin_key_itself_needs_no_session(locked: Edge, headers: dict[str, str]) -> None:
    """Scripts show it as everywhere, and need no header of the page's."""
    assert locked.http.get(VIEW, headers=headers).status_code == 200
    assert locked.http.post(DISABLE, headers=headers).status_code == 200
    state = locked.http.get(SESSION, headers=headers).json()
    assert (state["signed_in"], state["expires_at"]) == (True, None)
    action, account, who = OPERATOR.done[-1]
    assert (action, account) == ("disable", "alice")
    assert who.startswith("admin:")


def test_the_page_uses_the_routes_that_everybody_uses(locked: Edge) -> None:
    """Signed in, it chats, draws, hands in cookies and reads metrics; who did so is named, and is not limited."""
    locked.chat.reset()
    with signed_in(locked) as page:
        assert page.post("/v1/generate", json={"prompt": "hi"}).status_code == 200
        assert locked.chat.asks[-1].caller == "admin:page"
        body = {"account": "alice", "secure_1psid": "g.a000x"}
        assert page.post("/api/cookies", json=body).status_code == 200
        assert page.get("/metrics").status_code == 200
        assert page.post(DISABLE).status_code == 200
    assert OPERATOR.done[-1] == ("disable", "alice", "admin:page")


def test_without_any_key_this_machine_needs_no_session() -> None:
    """As it may hand in cookies, it may do everything; a page from elsewhere may not, and a stranger is told what to set."""
    settings = EdgeSettings(trusted_proxies=("127.0.0.1",))
    with edge(operator=OPERATOR, settings=settings) as found, browser(found) as page:
        state = page.get(SESSION).json()
        assert (state["needed"], state["signed_in"], state["why"]) == (False, True, "")
        assert page.get(VIEW).status_code == 200
        assert page.post(DISABLE).status_code == 200
        assert page.post(SESSION, json={"key": "root"}).status_code == 403
        for headers in ({"origin": "https://evil.example"}, {"x-forwarded-for": "203.0.113.9"}):
            for path in (VIEW, DISABLE):
                method = "GET" if path == VIEW else "POST"
                assert page.request(method, path, headers=headers).status_code == 403
            told = page.get(SESSION, headers=headers).json()
            assert (told["needed"], told["signed_in"]) == (True, False)
            assert "ADMIN_KEY" in told["why"]


@pytest.mark.parametrize(
    "options",
    [{"api_key": "one"}, {"settings": EdgeSettings(allow_anonymous=True)}],
    ids=["keys", "anonymous"],
)
def test_without_an_admin_key_nobody_is_the_operator(options: dict[str, object]) -> None:
    """Where others may call, the page says what to set, and so does every refusal."""
    with edge(operator=OPERATOR, **options) as found, browser(found) as page:  # type: ignore[arg-type]
        state = page.get(SESSION).json()
        assert (state["needed"], state["signed_in"]) == (True, False)
        assert "Set ADMIN_KEY" in state["why"]
        key = {"x-api-key": "one"}
        answers = [
            page.post(SESSION, json={"key": "one"}),
            page.get(VIEW, headers=key),
            page.post(DISABLE, headers=key),
        ]
        for answer in answers:
            assert answer.status_code == 403
            assert "Set ADMIN_KEY" in answer.json()["error"]["message"]
        assert page.get(VIEW).status_code in (401, 403)
        assert OPERATOR.done == []


def test_an_admin_key_alone_guards_the_page_and_not_the_api() -> None:
    """Without API keys this machine may call; what is the operator's asks for the admin key, and says where to sign in."""
    with edge(admin_key="root", operator=OPERATOR) as found, browser(found) as page:
        assert page.get("/v1/models").status_code == 200
        answer = page.get(VIEW)
        assert answer.status_code == 401
        assert "/admin" in answer.json()["error"]["message"]
        over = page.get(VIEW, headers=cookie(token(age=4000)))
        assert over.json()["error"]["code"] == "session_expired"
        assert page.get("/v1/models", headers=cookie(token(age=4000))).status_code == 200
        assert page.get(VIEW, headers=cookie(token())).status_code == 200


def test_a_session_over_a_name_that_is_not_this_machines(locked: Edge) -> None:
    """With an admin key alone and a proxy on this machine in front, signing in is what lets somebody in."""
    with edge(admin_key="root", operator=OPERATOR) as found, browser(found, host="gw.example") as page:
        assert page.get("/v1/models").status_code == 403
        assert page.get(SESSION).json()["needed"] is True
        answer = page.post(SESSION, json={"key": "root"})
        assert answer.status_code == 200
        shown = cookie(given(answer)["value"])
        assert page.get("/v1/models", headers=shown).status_code == 200
        over = page.get("/v1/models", headers=cookie(token(age=4000)))
        assert (over.status_code, over.json()["error"]["code"]) == (401, "session_expired")


def test_a_hashed_admin_key_signs_in_too() -> None:
    """The key is what is typed, not its digest."""
    digest = hashed(Secret("root"))
    with edge(admin_key=digest, operator=OPERATOR) as found:
        with signed_in(found) as page:
            assert page.get(VIEW).status_code == 200
        with browser(found) as page:
            assert page.post(SESSION, json={"key": digest}).status_code == 401
            assert page.get(VIEW, headers=cookie(token(digest))).status_code == 401


def test_neither_cookie_nor_key_comes_back(locked: Edge) -> None:
    """Not in errors that quote them, and not as a request's id."""
    secret = token()
    OPERATOR.shown = NoAccount(f"It is about {secret} and {secret[:40]}.")
    with browser(locked) as page:
        answer = page.get(VIEW, headers={**cookie(secret), "x-request-id": secret})
        assert answer.status_code == 503
        assert secret[:30] not in answer.text
        assert answer.headers["x-request-id"] != secret
        rubbish = "hunter2hunter2"
        answer = page.get("/admin/api/accounts/" + rubbish, headers=cookie(rubbish))
        assert rubbish not in answer.text
        signing = page.post(SESSION, json={"key": "root"}, headers={"x-request-id": "root"})
        assert signing.headers["x-request-id"] != "root"


def test_the_session_route_has_these_methods(locked: Edge) -> None:
    """The rest is 405, open as it is."""
    with browser(locked) as page:
        assert page.put(SESSION).status_code == 405
        assert page.head(SESSION).status_code == 200
        assert page.options(SESSION).headers["allow"] == "DELETE, GET, HEAD, POST, OPTIONS"
        assert page.get(SESSION + "/").status_code == 200
        assert page.get(SESSION, headers=PAGE).status_code == 200

"""What shows who the operator is comes back nowhere."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from core.errors import NoAccount
from core.masking import hide, hiding, mask
from gateway import logs
from tests.fakes.edge import edge
from tests.fakes.operator import FakeOperator
from tests.fakes.server import until
from tests.fakes.service import Fail
from tests.support.browser import browser, cookie, token

KEY = "Admin-key.of-somebody_0123456789abcdefghijklmnop"
"""A key as people make them up: nothing in it tells that it is one."""


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging is one per process: leave it as it was."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.configure(**configured)


class Telltale(FakeOperator):
    """A desk that fails with `words` in its message, on purpose or not."""

    words = ""

    async def history(self, account: str) -> tuple[()]:
        raise RuntimeError(f"about {self.words}")


@pytest.mark.parametrize(
    "value", [token(KEY), token("another"), "Some-other.cookie_0123456789"], ids=["good", "over", "rubbish"]
)
def test_a_session_that_was_shown_comes_back_nowhere(value: str) -> None:
    """Whoever pastes it elsewhere as well does not find it in the error, and nobody finds it in the log."""
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    operator = Telltale()
    operator.words = value
    operator.shown = NoAccount(f"It is about {value}.")
    with edge(api_key="one", admin_key=KEY, operator=operator) as found, browser(found) as page:
        shown = cookie(value)
        found.chat.say(Fail(RuntimeError(value)))
        key = {"x-admin-key": KEY}
        answers = [
            page.get("/admin/api/session", headers={**shown, "x-request-id": value}),
            page.get("/admin/api/view", headers=shown),
            page.get("/admin/api/view", headers={**shown, **key}),
            page.get(f"/admin/api/accounts/{value}", headers={**shown, **key}),
            page.post(f"/admin/api/accounts/{value}/probe", headers={**shown, **key}),
            page.get(f"/admin/{value}", headers=shown),
            page.get(f"/nope/{value}", headers={**shown, **key}),
            page.get(f"/v1/models/{value}", headers={**shown, **key}),
            page.post("/v1/generate", headers={**shown, **key}, json={"prompt": "hi"}),
            page.post("/v1/generate", headers={**shown, **key}, json={"prompt": "hi", "model": value}),
        ]
        operator.reset()
        answers.append(page.get("/admin/api/accounts/alice", headers={**shown, **key}))
        until(lambda: stream.getvalue().count('"event":"request"') == len(answers))
    assert {answer.status_code for answer in answers} >= {200, 404, 500}
    for answer in answers:
        assert value[:12].lower() not in f"{answer.headers}{answer.text}".lower(), answer.request.url
    assert value[:12].lower() not in stream.getvalue().lower()


def test_the_key_that_signs_in_comes_back_nowhere() -> None:
    """Right, wrong, or of the wrong kind: it is in no answer and no line of the log; the cookie is in the one header."""
    stream = io.StringIO()
    logs.set_up("json", "debug", stream)
    with edge(api_key="one", admin_key=KEY, operator=FakeOperator()) as found, browser(found) as page:
        bodies = [{"key": KEY}, {"key": KEY + "x"}, {"key": [KEY]}, {"key": {KEY: KEY}}, {KEY: KEY}]
        answers = [page.post("/admin/api/session", json=body) for body in bodies]
        answers.append(page.post("/admin/api/session", content=f'{{"key": "{KEY}",,'))
        answers.append(page.post("/admin/api/session", data={"key": KEY}))
        until(lambda: stream.getvalue().count('"event":"request"') == len(answers))
    assert [answer.status_code for answer in answers] == [200, 401, 400, 400, 400, 400, 415]
    given = answers[0].cookies["gempool_session"]
    for answer in answers:
        assert KEY[:12].lower() not in f"{answer.headers}{answer.text}".lower()
    assert KEY[:12].lower() not in stream.getvalue().lower()
    assert given not in stream.getvalue()


def test_a_word_can_be_hidden_while_others_are() -> None:
    """What a body turned out to hold, until the request is over."""
    with hiding(["correct-horse-battery"]):
        hide(["staple-of-mine", "short"])
        assert mask("correct-horse-battery, staple-of-mine, short") == "***, ***, short"
    assert mask("correct-horse-battery, staple-of-mine") == "correct-horse-battery, staple-of-mine"


def test_a_configured_key_that_somebody_else_writes_comes_back_nowhere() -> None:
    """Also where it is not the one that the request brought: not in an answer, the log or the journal."""
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    other = "sk-another-callers-0123456789"
    with edge(api_key=f"one-key-0123456789,{other}", admin_key=KEY) as found:
        for word in (KEY, other):
            answers = [
                found.http.post(path, json=body, headers={"x-api-key": "one-key-0123456789"})
                for path, body in (
                    ("/v1/generate", {"prompt": "hi", "model": word}),
                    ("/v1/chat/completions", {"messages": [{"role": word, "content": "hi"}]}),
                    (f"/v1beta/models/{word}:generateContent", {}),
                    (f"/nope/{word}", {}),
                )
            ]
            assert all(answer.status_code in (400, 404) for answer in answers)
            assert not any(word[:12] in f"{answer.headers}{answer.text}" for answer in answers)
        until(lambda: stream.getvalue().count('"event":"request"') == 8)
    assert found.noted
    assert not any(word[:12] in f"{stream.getvalue()}{found.noted}" for word in (KEY, other))

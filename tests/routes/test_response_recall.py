"""Going on with a response by its id, and naming single items of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.chat import Blob, Delta, Finish, FinishReason, Message, Picture, Text, ToolCall, Usage
from core.clock import SystemClock
from core.errors import NoAccount
from routes import EdgeSettings
from storage import Local, name_of
from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses
from tests.fakes.service import Fail
from tests.support.files import PNG

USAGE = Usage(3, 4, 5)
END = Finish(USAGE, "gemini-flash")
CALLED = Finish(USAGE, "gemini-flash", reason=FinishReason.TOOL_CALLS)
NOW = {"type": "function", "name": "now"}
CALL = ToolCall("call_1", "now", "{}")
ME = "ip:127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def served(kept: FakeResponses, folder: Path) -> Iterator[Edge]:
    """An edge that keeps responses and pictures."""
    settings = EdgeSettings(prompt_limit=1000, message_limit=20)
    with edge(settings=settings, files=Local(folder, SystemClock()), responses=kept) as found:
        yield found


def respond(gate: Edge, input: Any, stream: bool = False, **fields: Any) -> str:
    """The id of the response."""
    body = {"input": input, "stream": stream, **fields}
    response = gate.http.post("/v1/responses", json=body)
    assert response.status_code == 200, response.text
    if stream:
        return "resp_" + response.text.split('"id":"resp_', 1)[1][:32]
    found: str = response.json()["id"]
    return found


def refused(gate: Edge, input: Any, **fields: Any) -> dict[str, Any]:
    response = gate.http.post("/v1/responses", json={"input": input, **fields})
    assert response.status_code == 400, response.text
    found: dict[str, Any] = response.json()["error"]
    return found


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def assistant(text: str, *calls: ToolCall) -> Message:
    return Message("assistant", (Text(text),) if text else (), tool_calls=calls)


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on_by_the_last_responses_id(gate: Edge, stream: bool) -> None:
    """Turn by turn, with what was asked and what was answered; instructions hold for one response."""
    first = respond(gate, "one", stream, instructions="Be brief.")
    second = respond(gate, "two", stream, previous_response_id=first)
    respond(gate, "three", stream, previous_response_id=second, instructions="Be kind.")
    assert [ask.messages for ask in gate.chat.asks] == [
        (Message("system", (Text("Be brief."),)), user("one")),
        (user("one"), assistant("You said: one"), user("two")),
        (
            Message("system", (Text("Be kind."),)),
            user("one"),
            assistant("You said: one"),
            user("two"),
            assistant("You said: two"),
            user("three"),
        ),
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_are_kept_and_their_results_told(gate: Edge, stream: bool) -> None:
    """The result alone is sent in the next turn, and belongs to the call that was kept."""
    gate.chat.say(Delta("Let me see."), CALL, CALLED)
    first = respond(gate, "what time is it?", stream, tools=[NOW])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
    respond(gate, [output], stream, previous_response_id=first, tools=[NOW])
    assert gate.chat.asks[-1].messages == (
        user("what time is it?"),
        assistant("Let me see.", CALL),
        Message("tool", (Text("noon"),), name="now", tool_call_id="call_1"),
    )


def test_the_response_says_what_it_goes_on_from(gate: Edge) -> None:
    """In `previous_response_id`."""
    first = respond(gate, "one")
    response = gate.http.post("/v1/responses", json={"input": "two", "previous_response_id": first})
    assert response.json()["previous_response_id"] == first


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_kept_of_what_is_not_to_be(gate: Edge, kept: FakeResponses, stream: bool) -> None:
    """With `store: false`, and of answers that failed."""
    first = respond(gate, "one", stream, store=False)
    assert refused(gate, "two", previous_response_id=first)["code"] == "previous_response_not_found"
    gate.chat.say(Delta("a"), Fail(NoAccount("Gone.")))
    gate.http.post("/v1/responses", json={"input": "a", "stream": stream})
    assert kept.kept == {}


def test_an_unknown_response_is_refused_with_a_code(gate: Edge, kept: FakeResponses) -> None:
    """One that never was, and another caller's."""
    first = respond(gate, "one")
    kept.kept = {(id, "somebody else"): messages for (id, _), messages in kept.kept.items()}
    for id in ("resp_1", "nonsense", first):
        error = refused(gate, "two", previous_response_id=id)
        assert error["code"] == "previous_response_not_found"
        assert error["param"] == "previous_response_id"
        assert error["type"] == "invalid_request_error"
        assert "'input'" in error["message"]
    assert len(gate.chat.asks) == 1


def test_a_gateway_that_keeps_nothing_says_so() -> None:
    """And answers all the same."""
    with edge() as found:
        first = respond(found, "one")
        assert refused(found, "two", previous_response_id=first)["code"] == "previous_response_not_found"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["broken", "hangs"])
def test_an_answer_stands_though_it_cannot_be_kept(
    gate: Edge, kept: FakeResponses, stream: bool, how: str
) -> None:
    """A store that fails or hangs costs the next turn, not this one."""
    setattr(kept, how, True)
    began = time.monotonic()
    respond(gate, "one", stream)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("how", "stored"), [("broken", False), ("hangs", False), ("full", False), ("", True)]
)
def test_a_response_says_whether_it_is_kept(
    gate: Edge, kept: FakeResponses, stream: bool, how: str, stored: bool
) -> None:
    """In `store`, before the caller reads its end."""
    if how:
        setattr(kept, how, True)
    answer = gate.http.post("/v1/responses", json={"input": "one", "stream": stream})
    if stream:
        last = [line for line in answer.text.splitlines() if line.startswith("data: ")][-1]
        assert json.loads(last[6:])["response"]["store"] is stored
    else:
        assert answer.json()["store"] is stored


def test_a_store_that_cannot_be_asked_is_an_error_of_its_own(gate: Edge, kept: FakeResponses) -> None:
    """503: what was kept is there again later."""
    first = respond(gate, "one")
    kept.broken = True
    body = {"input": "two", "previous_response_id": first}
    assert gate.http.post("/v1/responses", json=body).status_code == 503


def test_items_are_found_by_their_ids(gate: Edge) -> None:
    """As the AI SDK names them: text and calls in their places, one turn again; reasoning is not looked for."""
    gate.chat.say(Delta(thoughts="hm"), Delta("Let me see."), CALL, ToolCall("call_2", "now", "{}"), CALLED)
    response = gate.http.post("/v1/responses", json={"input": "hi", "tools": [NOW]}).json()
    reasoning, said, first, second = (item["id"] for item in response["output"])
    history = [
        {"role": "user", "content": "hi"},
        {"type": "item_reference", "id": reasoning},
        {"type": "item_reference", "id": said},
        {"id": first},
        {"type": "item_reference", "id": second},
        {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
    ]
    respond(gate, history, tools=[NOW])
    assert gate.chat.asks[-1].messages == (
        user("hi"),
        assistant("Let me see.", CALL, ToolCall("call_2", "now", "{}")),
        Message("tool", (Text("noon"),), name="now", tool_call_id="call_1"),
    )


def test_an_item_that_is_not_kept_is_named(gate: Edge) -> None:
    """With what to do about it."""
    first = respond(gate, "one")
    for id in (f"msg_{'0' * 32}_0", f"fc_{first.removeprefix('resp_')}_0", "msg_1"):
        error = refused(gate, [{"role": "user", "content": "a"}, {"type": "item_reference", "id": id}])
        assert error["param"] == "input[1].id"
        assert "Send the item itself" in error["message"]


def test_a_picture_is_changed_by_the_next_turn(gate: Edge, folder: Path) -> None:
    """It comes along from where it was stored, or as it was kept where there was no link; the last one alone."""
    name = name_of("a kite", "image/png", 0.0)
    (folder / name).write_bytes(PNG)
    gate.chat.say(Picture(PNG, "image/png", alt="a kite", link=f"/files/{name}"), END)
    first = respond(gate, "a kite")
    respond(gate, "make it red", previous_response_id=first)
    assert gate.chat.asks[-1].messages[1] == Message("assistant", (Text("[picture]"), Blob(PNG, "image/png")))
    gate.chat.say(Picture(PNG, "image/png"), END)
    first = respond(gate, "a kite")
    respond(gate, "make it red", previous_response_id=first)
    assert gate.chat.asks[-1].messages[1] == Message("assistant", (Blob(PNG, "image/png"),))


@pytest.mark.parametrize("link", [True, False])
def test_a_picture_comes_along_with_its_items(gate: Edge, folder: Path, link: bool) -> None:
    """Once, whether it was a link in the text, an item, or both."""
    name = name_of("a kite", "image/png", 0.0)
    (folder / name).write_bytes(PNG)
    gate.chat.say(Picture(PNG, "image/png", alt="a kite", link=f"/files/{name}" if link else ""), END)
    body = {"input": "a kite", "tools": [{"type": "image_generation"}]}
    output = gate.http.post("/v1/responses", json=body).json()["output"]
    assert [item["type"] for item in output] == ["message"] * link + ["image_generation_call"]
    references = [{"type": "item_reference", "id": item["id"]} for item in output]
    respond(gate, [{"role": "user", "content": "a kite"}, *references, {"role": "user", "content": "red"}])
    text = (Text("[picture]"),) if link else ()
    assert gate.chat.asks[-1].messages == (
        user("a kite"),
        Message("assistant", (*text, Blob(PNG, "image/png"))),
        user("red"),
    )


def test_bounds_hold_for_the_whole_conversation(gate: Edge) -> None:
    """What was kept counts with what is sent."""
    first = respond(gate, "x" * 600)
    response = gate.http.post("/v1/responses", json={"input": "y" * 600, "previous_response_id": first})
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "previous_response_id"
    many = [{"role": "user", "content": "a"}] * 19
    response = gate.http.post("/v1/responses", json={"input": many, "previous_response_id": first})
    assert response.status_code == 413

"""Sticky conversations over the simulator: in the same chat while all is well, told anew elsewhere otherwise."""

import asyncio

import pytest
import redis
from msgspec.structs import replace

from core.chat import Ask, Blob, Event, Finish, Message, Part, Shape, Text, Tool, Toolbox, ToolCall
from core.errors import UpstreamFailed
from engine import EngineSettings
from engine.conversing import digest
from engine.settings import ConversationSettings
from simulator import Script, Simulator, fault
from tests.support.adapter import journal, prompts, until, until_so
from tests.support.replicas import Replica, Replicas, accounts_of

MODEL = "gemini-3-flash-preview"
STICKY = ConversationSettings(mode="sticky")


class Talk:
    """A caller's side of a conversation: it sends its whole history each time, as every client does."""

    def __init__(
        self, caller: str = "ada", *, model: str = MODEL, conversation: str = "", stream: bool = True
    ) -> None:
        self.messages: tuple[Message, ...] = ()
        self.ask = Ask(MODEL, (), stream=stream, caller=caller, conversation=conversation)  # type: ignore[arg-type]
        self.ask = replace(self.ask, model=model)
        self.finish: Finish | None = None

    async def say(self, replica: Replica, text: str, *files: Part) -> str:
        """Ask, and take the answer into the history."""
        said = Message("user", (Text(text), *files))
        events: list[Event] = [
            event async for event in replica.engine.stream(replace(self.ask, messages=(*self.messages, said)))
        ]
        answer = "".join(getattr(event, "text", "") for event in events)
        assert isinstance(events[-1], Finish)
        self.finish = events[-1]
        self.messages = (*self.messages, said, Message("assistant", (Text(answer),)))
        return answer


def asked(web: Simulator) -> list[tuple[str, str, str]]:
    """Account, chat and text of every prompt, in order."""
    return [(p.account, p.cid, p.text) for p in web.journal()]


def kept(web: Simulator) -> int:
    return sum(len(journal(web, account["id"])["chats"]) for account in web.accounts)


def courses(replica: Replica) -> dict[str, int]:
    return {
        course: int(count)
        for course in ("begun", "continued", "replayed")
        if (count := replica.value("gempool_conversations_total", course=course))
    }


@pytest.mark.parametrize("stream", [True, False])
async def test_a_follow_up_goes_on_in_the_same_chat(web: Simulator, replicas: Replicas, stream: bool) -> None:
    """Only what is new goes up, to the same chat of the same account, though another was used longer ago."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk(stream=stream)
    first = await talk.say(replica, "My name is Ada")
    second = await talk.say(replica, "What is my name?")
    third = await talk.say(replica, "Thank you")
    account, cid, _ = asked(web)[0]
    assert asked(web) == [
        (account, cid, text) for text in ("My name is Ada", "What is my name?", "Thank you")
    ]
    assert [answer for _, answer in web.conversation(account, cid)] == [first, second, third]
    assert courses(replica) == {"begun": 1, "continued": 2}
    assert talk.finish is not None
    assert talk.finish.usage.prompt > 20  # the whole history counts, though it was not sent again


async def test_first_requests_are_dealt_out_as_any(web: Simulator, replicas: Replicas) -> None:
    """New conversations go to the account that was used longest ago."""
    replica = await replicas.start(web, conversations=STICKY)
    for n in range(6):
        await Talk().say(replica, f"Hello {n}")
    accounts = [account for account, _, _ in asked(web)]
    assert accounts[:3] == accounts[3:]
    assert len(set(accounts)) == 3


async def test_by_default_nothing_is_left(web: Simulator, replicas: Replicas) -> None:
    """Without sticky every request is a temporary chat with the whole history, and no account's list has a chat."""
    replica = await replicas.start(web)
    talk = Talk()
    for text in ("One", "Two", "Three"):
        await talk.say(replica, text)
    assert all(p.temporary for p in web.journal())
    assert kept(web) == 0
    assert len({p.account for p in web.journal()}) == 3
    assert courses(replica) == {}


async def test_a_request_may_say_otherwise(web: Simulator, replicas: Replicas) -> None:
    """The request's own wish goes before the operator's, both ways."""
    temporary = await replicas.start(web)
    talk = Talk(conversation="sticky")
    await talk.say(temporary, "One")
    await talk.say(temporary, "Two")
    assert [(p.temporary, p.text) for p in web.journal()] == [(False, "One"), (False, "Two")]
    sticky = await replicas.start(web, conversations=STICKY)
    await Talk(conversation="temporary").say(sticky, "Three")
    assert web.journal()[-1].temporary


async def test_it_goes_on_over_another_replica(web: Simulator, replicas: Replicas) -> None:
    """A conversation that was begun on one replica goes on on the other."""
    here, there = [await replicas.start(web, conversations=STICKY) for _ in range(2)]
    talk = Talk()
    await talk.say(here, "One")
    await talk.say(there, "Two")
    await talk.say(here, "Three")
    assert len({(account, cid) for account, cid, _ in asked(web)}) == 1
    assert [text for *_, text in asked(web)] == ["One", "Two", "Three"]


async def test_another_caller_never_goes_on_there(web: Simulator, replicas: Replicas) -> None:
    """The same words from another caller are another conversation."""
    replica = await replicas.start(web, conversations=STICKY)
    ada, bob = Talk("ada"), Talk("bob")
    await ada.say(replica, "One")
    bob.messages = ada.messages
    await bob.say(replica, "Two")
    await ada.say(replica, "Two")
    (_, first, _), (_, bobs, text), (_, adas, _) = asked(web)
    assert bobs != first == adas
    assert "One" in text


async def test_a_regenerated_answer_branches(web: Simulator, replicas: Replicas) -> None:
    """The same history twice: both go on from the same turn, and each branch knows only itself."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    before = talk.messages
    for n, text in enumerate(("Left", "Left")):
        web.queue_reply(Script(text=f"answer {n}"))
        talk.messages = before
        await talk.say(replica, text)
    await talk.say(replica, "On")
    account, cid, _ = asked(web)[0]
    assert {chat for _, chat, _ in asked(web)} == {cid}
    last = web.journal()[-1]
    assert [(p, a.split("\n")[0]) for p, a in web.conversation(account, cid, last.rid)][1:2] == [
        ("Left", "answer 1")
    ]


async def test_what_clients_make_of_an_answer(web: Simulator, replicas: Replicas) -> None:
    """White space at the ends, an answer in pieces, and parts instead of a text are the same conversation."""
    replica = await replicas.start(web, conversations=STICKY)
    web.queue_reply(Script(text="Hello Ada, \nwell met!\n"))
    talk = Talk()
    await talk.say(replica, "I am Ada ")
    pieces = [Message("assistant", (Text(t),)) for t in ("Hello ", "", "Ada, \nwell", " met!")]
    talk.messages = (Message("user", (Text("I am Ada"),)), *pieces)
    await talk.say(replica, "Who am I?")
    assert [text for *_, text in asked(web)] == ["I am Ada ", "Who am I?"]


async def test_an_edited_history_is_told_anew(web: Simulator, replicas: Replicas) -> None:
    """A word that was changed in what went before makes another conversation, with its own words in a new chat."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "My name is Ada")
    _, answer = talk.messages
    talk.messages = (Message("user", (Text("My name is Bob"),)), answer)
    await talk.say(replica, "What is my name?")
    _, (_, cid, text) = asked(web)
    assert cid != asked(web)[0][1]
    assert "My name is Bob" in text
    assert "Ada" not in text.split("</user>")[0]
    assert courses(replica) == {"begun": 2}


UNWELL = {
    "throttled": fault("http_429"),
    "down": fault("http_500"),
    "expired": fault("expired"),
    "used up": fault("error_1037"),
    "blocked": fault("ip_block"),
    "unreachable": fault("refuse_connect"),
    "silent": fault("slow_first_token", seconds=30),
    "broken off": fault("truncate", frames=0),
    "empty": fault("empty"),
    "forgotten": fault("chat_lost"),
    "bad request": fault("chat_lost", form="400"),
    "not allowed": fault("chat_lost", form="7"),
    "in a new chat": fault("chat_lost", form="new"),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", UNWELL)
async def test_it_is_told_anew_where_it_cannot_go_on(
    web: Simulator, replicas: Replicas, how: str, stream: bool
) -> None:
    """Whatever befalls the chat or its account: the caller sees an answer to the whole history, in a new chat that the
    conversation then goes on in."""
    settings = EngineSettings(first_content_timeout=0.5, silence_timeout=0.5, connect_timeout=2, deadline=20)
    replica = await replicas.start(web, conversations=STICKY, settings=settings)
    talk = Talk(stream=stream)
    await talk.say(replica, "My name is Ada")
    account, cid, _ = asked(web)[0]
    web.set_fault(account, UNWELL[how])
    answer = await talk.say(replica, "What is my name?")
    assert "My name is Ada" in answer
    assert "What is my name?" in answer
    again = web.journal()[-1]
    assert again.cid not in ("", cid)
    assert not again.temporary
    await talk.say(replica, "Thank you")
    assert web.journal()[-1].cid == again.cid
    assert web.journal()[-1].text == "Thank you"
    assert courses(replica) == {"begun": 1, "replayed": 1, "continued": 1}


@pytest.mark.parametrize("form", ["1050", "400", "7", "new"])
async def test_a_lost_place_blames_nobody(web: Simulator, replicas: Replicas, form: str) -> None:
    """The account of a chat that is refused is asked again at once: neither it nor its model cools, and no probe runs."""
    configs = accounts_of(web)[:1]
    replica = await replicas.start(web, accounts=configs, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    web.set_fault("account-1", fault("chat_lost", form=form))
    await talk.say(replica, "Two")
    (view,), _ = await replica.pool.snapshot()
    assert (view.state, view.record.lane_cooldowns, view.record.consecutive_failures) == ("active", {}, 0)
    assert view.record.in_flight == 0
    assert view.record.probe_outcome == ""


async def test_an_account_in_quarantine_is_not_waited_for(web: Simulator, replicas: Replicas) -> None:
    """Its conversations are told anew elsewhere without a prompt to it."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    account = asked(web)[0][0]
    web.set_fault(account, fault("expired"))
    await replica.pool.probe_now(account)
    before = prompts(web, account)
    await talk.say(replica, "Two")
    assert prompts(web, account) == before
    assert web.journal()[-1].account != account


async def test_an_account_that_left_the_roster(web: Simulator, replicas: Replicas) -> None:
    """Its conversations are told anew elsewhere."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    account = asked(web)[0][0]
    await replica.pool.apply((), (), [account])
    await talk.say(replica, "Two")
    assert web.journal()[-1].account != account
    assert "One" in web.journal()[-1].text


async def test_a_moment_of_waiting_is_worth_it(web: Simulator, replicas: Replicas) -> None:
    """An account that is busy for a moment is waited for, one that is busy for longer is not."""
    configs = accounts_of(web, max_concurrency=1)
    settings = EngineSettings(first_content_timeout=5, silence_timeout=5, deadline=20, patience=0.5)
    replica = await replicas.start(web, accounts=configs, conversations=STICKY, settings=settings)
    talk = Talk()
    await talk.say(replica, "One")
    account, cid, _ = asked(web)[0]
    lease = await replica.pool.lease((talk.finish.model,), only=account)  # type: ignore[union-attr]
    saying = asyncio.ensure_future(talk.say(replica, "Two"))

    async def waits() -> bool:
        return (await replica.pool.status()).waiting == 1

    await until_so(waits)
    await lease.release()
    await saying
    assert web.journal()[-1].cid == cid
    lease = await replica.pool.lease((talk.finish.model,), only=account)  # type: ignore[union-attr]
    await talk.say(replica, "Three")
    assert web.journal()[-1].account != account
    await lease.release()
    assert courses(replica) == {"begun": 1, "continued": 1, "replayed": 1}


async def test_another_model_is_another_chat(web: Simulator, replicas: Replicas) -> None:
    """A chat goes on under the model that it was begun with; who asks another one begins anew."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    talk.ask = replace(talk.ask, model="gemini-2.5-pro")
    await talk.say(replica, "Two")
    await talk.say(replica, "Three")
    (_, first, _), (_, second, text), (_, third, _) = asked(web)
    assert first != second == third
    assert "One" in text
    assert [p.model for p in web.journal()] == ["Flash", "Pro", "Pro"]


async def test_files_are_known_again_by_their_bytes(web: Simulator, replicas: Replicas) -> None:
    """A file of the history is not sent again; another in its place makes another conversation."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "What is this?", Blob(b"one two", "text/plain"))
    await talk.say(replica, "And now?")
    assert [len(p.uploads) for p in web.journal()] == [1, 0]
    first, *rest = talk.messages
    talk.messages = (replace(first, parts=(first.parts[0], Blob(b"one three", "text/plain"))), *rest)
    await talk.say(replica, "Really?")
    assert len(web.journal()[-1].uploads) == 1
    assert web.journal()[-1].cid != web.journal()[0].cid


async def test_an_answer_that_broke_off_is_not_known(web: Simulator, replicas: Replicas) -> None:
    """After a failure in the middle nothing is remembered: half an answer sent back is a new conversation."""
    replica = await replicas.start(web, conversations=STICKY)
    web.set_defaults(frames=6, words=40, frame_delay=0.01)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("drop_mid", frames=3, times=1))
    events: list[Event] = []
    talk = Talk()

    async def read() -> None:
        async for event in replica.engine.stream(replace(talk.ask, messages=(one,))):
            events.append(event)  # noqa: PERF401  what came before the failure counts

    one = Message("user", (Text("One"),))
    with pytest.raises(UpstreamFailed, match="broke off"):
        await read()
    half = "".join(getattr(event, "text", "") for event in events)
    assert half
    talk.messages = (Message("user", (Text("One"),)), Message("assistant", (Text(half),)))
    for n in range(3):
        web.clear_fault(f"account-{n + 1}")
    await talk.say(replica, "Go on")
    assert courses(replica) == {"begun": 1}


async def test_pictures_are_not_remembered(web: Simulator, replicas: Replicas) -> None:
    """An answer with a picture is told anew with its words, in a chat of its own."""
    replica = await replicas.start(web, conversations=STICKY)
    talk = Talk(stream=False)
    await talk.say(replica, "Please generate an image of a cat")
    await talk.say(replica, "Thank you")
    (_, first, _), (_, second, text) = asked(web)[0], asked(web)[-1]
    assert first != second
    assert "cat" in text


async def test_nothing_that_was_said_is_in_the_store(
    web: Simulator, replicas: Replicas, empty_valkey: str
) -> None:
    """The store has digests and chat ids, which expire; no word of question or answer."""
    replica = await replicas.start(web, conversations=STICKY)
    await Talk("the-caller").say(replica, "xylophone")
    with redis.Redis.from_url(empty_valkey, decode_responses=True) as client:
        keys = [key for key in client.scan_iter("*") if ":chat:" in key]
        assert len(keys) == 1
        assert 86_000 < client.ttl(keys[0]) <= 86_400
        values = [client.get(key) for key in keys]
    assert "xylophone" not in str(keys + values)
    assert "the-caller" not in str(keys + values)


async def test_a_conversation_lives_on_with_its_use(web: Simulator, replicas: Replicas) -> None:
    """It is known for `keep` after it was last used, and then told anew."""
    replica = await replicas.start(web, conversations=replace(STICKY, keep=0.4))
    talk = Talk()
    await talk.say(replica, "One")
    before = talk.messages
    for _ in range(4):
        await asyncio.sleep(0.2)  # the store's clock
        talk.messages = before
        await talk.say(replica, "Two")
    assert courses(replica) == {"begun": 1, "continued": 4}
    await asyncio.sleep(0.5)  # the store's clock
    talk.messages = before
    await talk.say(replica, "Three")
    assert courses(replica) == {"begun": 2, "continued": 4}


async def test_a_caller_who_leaves_frees_the_account(web: Simulator, replicas: Replicas) -> None:
    """Also in the middle of a chat that goes on, and the conversation then goes on from where it stood."""
    replica = await replicas.start(web, accounts=accounts_of(web, max_concurrency=1), conversations=STICKY)
    talk = Talk()
    await talk.say(replica, "One")
    account, cid, _ = asked(web)[0]
    web.set_defaults(first_delay=20)
    saying = asyncio.ensure_future(talk.say(replica, "Two"))
    await until(lambda: journal(web, account)["running"] == 1)
    saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    await until(lambda: journal(web, account)["running"] == 0)
    web.set_defaults(first_delay=0)
    await talk.say(replica, "Three")
    last = web.journal()[-1]
    assert (last.cid, last.text) == (cid, "Three")
    assert [p for p, _ in web.conversation(account, cid, last.rid)] == ["One", "Three"]


def call(id: str, name: str = "weather", arguments: str = '{"city": "Paris", "days": 2}') -> ToolCall:
    return ToolCall(id, name, arguments)


def result(id: str, text: str) -> Message:
    return Message("tool", (Text(text),), tool_call_id=id)


ASKED = Message("user", (Text("Weather?"),))
BOX = Toolbox((Tool("weather", "tells it", {"type": "object"}),))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([ASKED], [Message("user", (Text("Wea"), Text("ther?")))]),
        ([ASKED], [Message("user", (Text("weather?"),))]),
        ([ASKED], [Message("system", (Text("Weather?"),))]),
        ([Message("user", (Text("a"),)), Message("user", (Text("b"),))], [Message("user", (Text("a\nb"),))]),
        (
            [ASKED, Message("assistant", (), tool_calls=(call("1"),))],
            [ASKED, Message("assistant", (Text("x"),))],
        ),
        (
            [ASKED, Message("assistant", (), tool_calls=(call("1"),))],
            [
                ASKED,
                Message("assistant", (), tool_calls=(call("1", arguments='{"city": "Rome", "days": 2}'),)),
            ],
        ),
        (
            [Message("assistant", (), tool_calls=(call("1"), call("2"))), result("1", "x"), result("2", "y")],
            [Message("assistant", (), tool_calls=(call("1"), call("2"))), result("2", "x"), result("1", "y")],
        ),
        ([Message("user", (Blob(b"a", "image/png"),))], [Message("user", (Blob(b"b", "image/png"),))]),
        ([Message("user", (Text("file x"),))], [Message("user", (Blob(b"x", "image/png"),))]),
    ],
)
def test_what_makes_another_conversation(one: list[Message], other: list[Message]) -> None:
    """Whatever the model would be told otherwise has another digest."""
    ask = Ask(MODEL, ())
    assert digest(ask, tuple(one)) != digest(ask, tuple(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([ASKED], [Message("user", (Text(" Weather?\n"),))]),
        ([ASKED], [Message("user", (Text("Weather?"), Text("")))]),
        ([ASKED], [Message("assistant", ()), ASKED]),
        (
            [Message("assistant", (Text("ab"),))],
            [Message("assistant", (Text("a"),)), Message("assistant", (Text("b"),))],
        ),
        ([Message("assistant", (Text("ab"),))], [Message("assistant", (Text("a"), Text("b")))]),
        (
            [Message("assistant", (), tool_calls=(call("1"),)), result("1", "x")],
            [
                Message(
                    "assistant", (Text(""),), tool_calls=(call("9", arguments='{"days":2.0,"city":"Paris"}'),)
                ),
                result("9", " x "),
            ],
        ),
        (
            [Message("user", (Blob(b"a", "image/png", "x.png"),))],
            [Message("user", (Blob(b"a", "image/png"),))],
        ),
    ],
)
def test_what_makes_the_same_conversation(one: list[Message], other: list[Message]) -> None:
    """What clients change when they send a history back makes no difference."""
    ask = Ask(MODEL, ())
    assert digest(ask, tuple(one)) == digest(ask, tuple(other))


def test_the_digest_holds_the_caller_the_tools_and_the_shape() -> None:
    """Each of them stands in the chat, or decides whose it is; a model's name, a stream and a request's id do not."""
    ask = Ask(MODEL, ())
    others = [
        replace(ask, caller="ada"),
        replace(ask, toolbox=BOX),
        replace(ask, toolbox=Toolbox((Tool("weather", "tells it"),))),
        replace(ask, toolbox=replace(BOX, parallel=False)),
        replace(ask, shape=Shape()),
        replace(ask, shape=Shape({"type": "object"})),
    ]
    assert len({digest(a, (ASKED,)) for a in (ask, *others)}) == 7
    required = replace(ask, toolbox=replace(BOX, required=True))
    assert digest(required, (ASKED,)) == digest(replace(ask, toolbox=BOX), (ASKED,))
    same = replace(ask, model="x", stream=True, request_id="r", thinking=True)
    assert digest(same, (ASKED,)) == digest(ask, (ASKED,))


TOOLS = Toolbox(
    (Tool("weather", "tells it", {"type": "object", "properties": {"city": {"type": "string"}}}),)
)


async def test_functions_are_called_within_one_chat(web: Simulator, replicas: Replicas) -> None:
    """The functions are told once; a call's result goes on in the same chat with the call's name, and what a client makes of
    the call's id and arguments does not matter."""
    replica = await replicas.start(web, conversations=STICKY)
    ask = replace(Talk().ask, toolbox=TOOLS)
    asked_for = Message("user", (Text("What is the weather in Paris?"),))
    answer = await replica.engine.answer(replace(ask, messages=(asked_for,)))
    (made,) = answer.calls
    assert (made.name, made.arguments) == ("weather", '{"city":"Paris"}')
    sent_back = Message(
        "assistant", (Text(answer.text),), tool_calls=(ToolCall("x", "weather", '{ "city": "Paris" }'),)
    )
    history: tuple[Message, ...] = (
        asked_for,
        sent_back,
        Message("tool", (Text("18 degrees"),), tool_call_id="x"),
    )
    answer = await replica.engine.answer(replace(ask, messages=history))
    assert "weather: 18 degrees" in answer.text
    history = (
        *history,
        Message("assistant", (Text(answer.text),)),
        Message("user", (Text("And the weather in Rome?"),)),
    )
    answer = await replica.engine.answer(replace(ask, messages=history))
    assert [call.arguments for call in answer.calls] == ['{"city":"Rome"}']
    (account, cid, _), *others = asked(web)
    assert {(a, c) for a, c, _ in others} == {(account, cid)}
    told = ["<functions>" in prompt for prompt, _ in web.conversation(account, cid)]
    assert told == [True, False, False]
    assert courses(replica) == {"begun": 1, "continued": 2}


@pytest.mark.parametrize("mode", ["sticky", "temporary"])
async def test_a_corrected_answer_leaves_no_chat_behind(
    web: Simulator, replicas: Replicas, mode: str
) -> None:
    """What was asked again stands in a temporary chat: the next question is told anew, with the caller's history alone."""
    replica = await replicas.start(web, conversations=STICKY)
    ask = replace(Talk(conversation=mode).ask, toolbox=replace(TOOLS, required=True), stream=False)
    web.queue_reply(Script(tool_reply="prose"))
    question = Message("user", (Text("What is the weather in Paris?"),))
    answer = await replica.engine.answer(replace(ask, messages=(question,)))
    assert len(answer.calls) == 1
    assert answer.finish.place is None
    assert [p.temporary for p in web.journal()] == [mode == "temporary", True]
    history: tuple[Message, ...] = (
        question,
        Message("assistant", (Text(answer.text),), tool_calls=answer.calls),
    )
    history = (*history, Message("tool", (Text("18"),), tool_call_id=answer.calls[0].id))
    await replica.engine.answer(replace(ask, messages=history))
    last = web.journal()[-1]
    ((prompt, _),) = web.conversation(last.account, last.cid, last.rid)
    assert "cannot be used" not in prompt
    assert "<functions>" in prompt

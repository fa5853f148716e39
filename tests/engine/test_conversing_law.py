"""The law of conversations: whatever callers, clients and accounts do, the model has exactly the caller's history in mind."""

import asyncio
import re
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, ConversationMode, Message, Text
from core.clock import SystemClock
from core.errors import (
    AccountThrottled,
    GatewayError,
    ModelUnavailable,
    PlaceLost,
    SessionSuspect,
    UpstreamUnstable,
)
from core.metrics import Metrics
from engine import Engine, EngineSettings
from engine.conversing import Conversations
from engine.prompt import flatten
from engine.settings import ConversationSettings
from pool import Policy, Pool, PoolSettings, Shared, State, Store
from tests.fakes.chats import ChatWeb, Turn
from tests.support.hostile import examples
from tests.support.pools import TABLE, accounts, all_open, until

NAMES = ["a0", "a1", "a2"]
ERRORS: list[GatewayError] = [
    AccountThrottled("x"),
    UpstreamUnstable("x", kind="http_5xx"),
    SessionSuspect("x"),
    ModelUnavailable("x"),
    PlaceLost("x"),
]
FORGIVING = Policy(
    throttle_base=0.01,
    cooldown_cap=0.02,
    model_unavailable=0.02,
    suspect_park=0.02,
    eject_base=0.02,
    eject_cap=0.02,
)
MODES = st.sampled_from(["sticky", "sticky", "sticky", "temporary"])
WORDS = st.sampled_from(["hello", "who am I", "go on", "I am Ada", "I am Bob"])


class History(Struct, frozen=True):
    """What a client holds of one conversation."""

    caller: str
    messages: tuple[Message, ...] = ()


def bare(text: str) -> str:
    """Without what white space at the ends of messages makes of a prompt."""
    return re.sub(r"\s+", " ", text).strip()


def tells(turn: Turn, messages: tuple[Message, ...]) -> bool:
    """The chat so far and the new text are this history, each message once and in its place."""

    def from_here(at: int, rest: tuple[tuple[str, str], ...]) -> bool:
        if not rest:
            return bool(messages[at:]) and bare(flatten(messages[at:]).text) == bare(turn.prompt)
        prompt, answer = rest[0]
        return any(
            messages[end].role == "assistant"
            and messages[end].text.strip() == answer.strip()
            and bare(flatten(messages[at:end]).text) == bare(prompt)
            and from_here(end + 1, rest[1:])
            for end in range(at + 1, len(messages))
        )

    return from_here(0, turn.before)


class Conversing(RuleBasedStateMachine):
    """Callers talk, edit and regenerate on two replicas while accounts fail, forget and leave."""

    histories: Bundle[History] = Bundle("histories")
    url = ""

    def __init__(self) -> None:
        super().__init__()
        with redis.Redis.from_url(self.url) as client:
            client.flushall()
        self.runner = asyncio.Runner()
        self.web = ChatWeb()
        self.parts: list[Any] = []
        self.engines: list[Engine] = []
        self.pools: list[Pool] = []
        self.callers: dict[str, set[str]] = {}
        self.do(self.open())

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    async def open(self) -> None:
        for _ in range(2):
            metrics = Metrics()
            store, shared = Store(self.url, metrics, FORGIVING), Shared(self.url)
            options = PoolSettings(policy=FORGIVING, suspect_retry=0.01)
            pool = Pool(store, self.web, accounts(3), TABLE, options, metrics, SystemClock())
            conversations = Conversations(shared, ConversationSettings(), metrics)
            engine = Engine(
                pool, EngineSettings(patience=0.05), metrics, SystemClock(), conversations=conversations
            )
            await pool.start()
            await until(lambda pool=pool: all_open(pool, accounts(3)))  # type: ignore[misc]
            self.engines.append(engine)
            self.pools.append(pool)
            self.parts += [pool, store, shared]

    async def shut(self) -> None:
        for engine in self.engines:
            await engine.close()
        for part in self.parts:
            await part.close()

    def teardown(self) -> None:
        self.do(self.shut())
        self.runner.close()

    @initialize(target=histories, texts=st.lists(WORDS, min_size=1, max_size=3))
    def begin(self, texts: list[str]) -> Any:
        return self.talk(History("ada"), [(text, 0, True, "sticky") for text in texts], "", {})

    @rule(
        target=histories,
        history=histories,
        says=st.lists(st.tuples(WORDS, st.integers(0, 1), st.booleans(), MODES), min_size=1, max_size=4),
        somebody=st.sampled_from(["", "", "", "ada", "bob", "bob"]),
        failing=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(ERRORS), max_size=2),
    )
    def talk(
        self,
        history: History,
        says: list[tuple[str, int, bool, ConversationMode]],
        somebody: str,
        failing: dict[str, GatewayError],
    ) -> Any:
        """Questions one after another, each with the history so far, perhaps from somebody else than who asked before."""
        states = []
        for text, replica, stream, mode in says:
            history = replace(history, caller=somebody or history.caller)
            history = self.say(history, text, replica, stream, mode, failing)
            states.append(history)
            failing = {}
        return multiple(*states)

    def say(
        self,
        history: History,
        text: str,
        replica: int,
        stream: bool,
        mode: ConversationMode,
        failing: dict[str, GatewayError],
    ) -> History:
        messages = (*history.messages, Message("user", (Text(text),)))
        ask = Ask(TABLE[0].id, messages, stream=stream, conversation=mode, caller=history.caller)
        self.web.errors = {name: [error] for name, error in failing.items()}
        before = len(self.web.answered)
        answer = self.do(self.engines[replica].answer(ask))
        (turn,) = self.web.answered[before:]
        assert answer.text == turn.answer
        assert tells(turn, messages)
        assert turn.temporary == (mode == "temporary")
        if mode == "temporary":
            assert answer.finish.place is None
            assert not turn.before
        else:
            assert self.callers.setdefault(turn.cid, set()) <= {history.caller}
            self.callers[turn.cid].add(history.caller)
        return History(history.caller, (*messages, Message("assistant", (Text(answer.text),))))

    @rule(target=histories, history=histories, data=st.data())
    def edit(self, history: History, data: st.DataObject) -> History:
        """A client changes a word, leaves a message out, or trims what it was answered."""
        if not history.messages:
            return history
        at = data.draw(st.integers(0, len(history.messages) - 1))
        message, messages = history.messages[at], list(history.messages)
        match data.draw(st.sampled_from(["text", "gone", "trimmed", "pieces", "system"])):
            case "text":
                messages[at] = replace(message, parts=(Text(data.draw(WORDS)),))
            case "gone":
                del messages[at]
            case "trimmed":
                messages[at] = replace(message, parts=(Text(message.text.strip()),))
            case "pieces":
                messages[at : at + 1] = [replace(message, parts=(Text(message.text),)), Message("user", ())]
            case "system":
                messages.insert(0, Message("system", (Text(data.draw(WORDS)),)))
        return replace(history, messages=tuple(messages))

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        """An account's owner empties its history."""
        self.web.erase(name)

    @rule(name=st.sampled_from(NAMES), replica=st.integers(0, 1))
    def cool(self, name: str, replica: int) -> None:
        """An account is taken out of service by hand and comes back."""
        state = self.do(self.pools[replica].disable(name))
        assert state == State.DISABLED
        self.do(self.say_something(replica))
        self.do(self.pools[replica].enable(name))

    async def say_something(self, replica: int) -> None:
        await self.engines[replica].answer(Ask(TABLE[0].id, (Message("user", (Text("x"),)),), caller="eve"))


@pytest.mark.timeout(examples(300))
def test_the_model_has_the_callers_history_in_mind(valkey_url: str) -> None:
    """For any order of questions, edits, regenerated answers and failures, in sticky as in temporary mode: the chat so far
    and the new text are the whole history as the caller sent it, nobody sees an error, and no chat is two callers'."""
    Conversing.url = valkey_url
    run_state_machine_as_test(
        Conversing,
        settings=settings(
            max_examples=examples(50),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

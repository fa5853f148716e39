"""Tools and JSON on a model that has neither: what callers get, whatever the model writes."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from core.chat import (
    Ask,
    Delta,
    Event,
    Finish,
    FinishReason,
    Message,
    Picture,
    PictureWish,
    Shape,
    Text,
    Tool,
    Toolbox,
    ToolCall,
)
from core.clock import SystemClock
from core.errors import AnswerUnfit, DeadlineExceeded, InvalidRequest, UpstreamFailed, UpstreamUnstable
from core.metrics import Metrics
from core.tokens import estimate
from engine import Engine, EngineSettings
from pool.upstream import Done
from tests.fakes.sessions import Scene
from tests.support.pools import Bench, accounts

MODEL = "gemini-3-flash-preview"
WEATHER = Tool(
    "weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
NOW = Tool("now", "The time")
BOX = Toolbox((WEATHER, NOW))
PERSON = Shape(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"],
    }
)
ASKED = (Message("user", (Text("What is the weather in Oslo?"),)),)


def block(name: str = "weather", **arguments: Any) -> str:
    return f"```tool_call\n{json.dumps({'name': name, 'arguments': arguments})}\n```"


GOOD = block(city="Oslo")
WRONG = block(days="many")


class Desk:
    """An engine over accounts that answer what the test says, one answer after the other."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.metrics = Metrics()
        self.engine: Engine | None = None

    async def open(self, *answers: str | Sequence[Scene], reasks: int = 2, **settings: Any) -> Engine:
        pool = await self.bench.pool(accounts(2))
        self.bench.web.anybody = [
            [*cut(answer), Done()] if isinstance(answer, str) else answer for answer in answers
        ]
        self.engine = Engine(
            pool, replace(EngineSettings(), reasks=reasks, **settings), self.metrics, SystemClock()
        )
        return self.engine

    def prompts(self) -> list[str]:
        return [prompt.text for _, prompt, _ in self.bench.web.asked]

    def outcomes(self) -> dict[str, float]:
        family = next(m for m in self.metrics.registry.collect() if m.name == "gempool_shaped_answers")
        return {s.labels["outcome"]: s.value for s in family.samples if s.value}


def cut(answer: str, size: int = 7) -> list[Delta]:
    return [Delta(answer[at : at + size]) for at in range(0, len(answer), size)]


@pytest.fixture
async def desk(empty_valkey: str) -> AsyncIterator[Desk]:
    bench = Bench(empty_valkey)
    desk = Desk(bench)
    yield desk
    if desk.engine is not None:
        await desk.engine.close()
    await bench.close()


def wanted(**changes: Any) -> Ask:
    return replace(Ask(MODEL, ASKED, stream=True, request_id="req-1"), **changes)


class Got:
    """The events of an answer, sorted."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.text = "".join(event.text for event in events if isinstance(event, Delta))
        self.thoughts = "".join(event.thoughts for event in events if isinstance(event, Delta))
        self.calls = [
            (event.name, json.loads(event.arguments)) for event in events if isinstance(event, ToolCall)
        ]
        assert isinstance(events[-1], Finish)
        self.finish = events[-1]


async def got(engine: Engine, ask: Ask) -> Got:
    return Got([event async for event in engine.stream(ask)])


STREAM = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@STREAM
async def test_a_call_is_an_event_and_text_before_it_is_kept(desk: Desk, stream: bool) -> None:
    """With an id of its own, its arguments as JSON; what the model invents after it is dropped."""
    engine = await desk.open(
        f"Let me look.\n\n{GOOD}\n<tool_result>\n7 degrees\n</tool_result>\nIt is 7 degrees."
    )
    answer = await got(engine, wanted(toolbox=BOX, stream=stream))
    assert (answer.text, answer.calls) == ("Let me look.", [("weather", {"city": "Oslo"})])
    assert answer.finish.reason == FinishReason.TOOL_CALLS
    (call,) = (event for event in answer.events if isinstance(event, ToolCall))
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", call.id)
    assert desk.outcomes() == {"ok": 1}


@STREAM
async def test_prose_is_a_plain_answer_where_there_is_a_choice(desk: Desk, stream: bool) -> None:
    """To the letter, and with no call."""
    words = "It is cold there.\n\n```python\nprint('brr')\n```\n"
    answer = await got(await desk.open(words), wanted(toolbox=BOX, stream=stream))
    assert (answer.text, answer.calls, answer.finish.reason) == (words, [], FinishReason.STOP)


async def test_text_streams_while_the_model_still_writes(desk: Desk) -> None:
    """Prose is handed out as it comes; the answer need not be whole."""
    going_on = asyncio.Event()
    engine = await desk.open([Delta("It is "), going_on, Delta("cold."), Done()])
    events = engine.stream(wanted(toolbox=BOX))
    assert await anext(events) == Delta("It is")
    going_on.set()
    assert [event.text async for event in events if isinstance(event, Delta)] == [" cold."]


async def test_several_calls_come_in_order(desk: Desk) -> None:
    """Each with an id of its own."""
    answer = await got(
        await desk.open(f"{GOOD}\n{block('now')}\n{block(city='Rome', days=2)}"), wanted(toolbox=BOX)
    )
    assert [name for name, _ in answer.calls] == ["weather", "now", "weather"]
    assert len({event.id for event in answer.events if isinstance(event, ToolCall)}) == 3


async def test_one_call_where_several_are_not_wanted(desk: Desk) -> None:
    """The first, also where a later one is wrong."""
    answer = await got(await desk.open(f"{GOOD}\n{WRONG}"), wanted(toolbox=replace(BOX, parallel=False)))
    assert answer.calls == [("weather", {"city": "Oslo"})]
    assert len(desk.prompts()) == 1


@STREAM
@pytest.mark.parametrize("required", [False, True])
async def test_a_function_that_nobody_offered_is_asked_for_again(
    desk: Desk, stream: bool, required: bool
) -> None:
    """With its name and those that there are; never shown, and an error where it always comes."""
    box = replace(BOX, required=required)
    engine = await desk.open(block("forecast"), GOOD)
    answer = await got(engine, wanted(toolbox=box, stream=stream))
    assert (answer.text, answer.calls) == ("", [("weather", {"city": "Oslo"})])
    again = desk.prompts()[1]
    assert "it calls the function forecast, which does not exist. Answer again" in again
    assert "calls one of the functions now, weather." in again
    engine = await desk.open(f"{block('forecast')}\nThere.")
    with pytest.raises(AnswerUnfit, match="the function forecast, which does not exist"):
        await got(engine, wanted(toolbox=box, stream=stream))


async def test_only_allowed_functions_are_told_and_called(desk: Desk) -> None:
    """The others do not exist."""
    box = Toolbox((WEATHER, NOW), allowed=frozenset({"now"}))
    answer = await got(await desk.open(GOOD, block("now")), wanted(toolbox=box))
    assert (answer.text, answer.calls) == ("", [("now", {})])
    assert '"weather"' not in desk.prompts()[0]


async def test_arguments_are_brought_to_their_schema(desk: Desk) -> None:
    """Text that says a number is one where the schema wants one; the model is not asked again for that."""
    answer = await got(await desk.open(block(city="Oslo", days="3")), wanted(toolbox=BOX))
    assert answer.calls == [("weather", {"city": "Oslo", "days": 3})]
    assert desk.outcomes() == {"repaired": 1}


@STREAM
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (WRONG, 'the arguments of weather break its schema: "city" is a required property'),
        (
            '```tool_call\n{"name": "weather", "arguments": {"city": "Os',
            "cannot be read as JSON: it breaks off",
        ),
    ],
)
async def test_a_wrong_call_is_asked_for_again(desk: Desk, bad: str, why: str, stream: bool) -> None:
    """The fault and the remedy are named after the model's own answer; the text that was shown already is not added to."""
    engine = await desk.open(f"Let me look.\n{bad}", f"Sorry! Here it is:\n{GOOD}")
    answer = await got(engine, wanted(toolbox=BOX, stream=stream))
    assert answer.text == ("Let me look." if stream else "Sorry! Here it is:")
    assert answer.calls == [("weather", {"city": "Oslo"})]
    again = desk.prompts()[1]
    assert "<assistant>\nLet me look.\n```tool_call" in again
    assert "<user>\nThat answer cannot be used: " in again
    assert why in again
    assert "Answer again with nothing but the tool_call block that calls the function weather." in again
    assert desk.outcomes() == {"reasked": 1}


async def test_words_after_a_wrong_call_are_not_added_to_what_was_shown(desk: Desk) -> None:
    """Once text is out only the call is wanted; without it the stream ends with an error, for what was shown led to a call."""
    engine = await desk.open(f"Let me look.\n{WRONG}", "I am sorry.")
    shown: list[Event] = []

    async def read() -> None:
        async for event in engine.stream(wanted(toolbox=BOX)):
            shown.append(event)  # noqa: PERF401  what came before the error counts

    with pytest.raises(AnswerUnfit, match="it calls no function"):
        await read()
    assert "".join(event.text for event in shown if isinstance(event, Delta)) == "Let me look."
    assert len(desk.prompts()) == 3
    assert desk.outcomes() == {"failed": 1}


@STREAM
@pytest.mark.parametrize("required", [False, True])
async def test_words_beside_a_call_that_never_is_right_are_no_answer(
    desk: Desk, stream: bool, required: bool
) -> None:
    """They would look like a good end, and what they speak of never came."""
    engine = await desk.open(f"Let me look.\n{WRONG}")
    with pytest.raises(AnswerUnfit, match='the arguments of weather break its schema: "city"') as caught:
        await got(engine, wanted(toolbox=replace(BOX, required=required), stream=stream))
    assert (caught.value.status, caught.value.retryable, caught.value.param) == (422, False, "tools")


async def test_words_instead_of_a_call_that_was_wrong_are_the_answer(desk: Desk) -> None:
    """Where none of the first ones have gone out."""
    engine = await desk.open(f"Let me look.\n{WRONG}", "I cannot.")
    assert (await got(engine, wanted(toolbox=BOX, stream=False))).text == "I cannot."


async def test_accounts_that_answered_wrongly_are_asked_last(desk: Desk) -> None:
    """With half of the accounts always wrong, no request fails, one by one or side by side."""
    pool = await desk.bench.pool(accounts(6))
    for n in range(6):
        desk.bench.web.answers[f"a{n}"] = [[Delta(WRONG if n < 3 else GOOD), Done()]]
    desk.engine = engine = Engine(pool, EngineSettings(), desk.metrics, SystemClock())
    for _ in range(24):
        assert (await got(engine, wanted(toolbox=REQUIRED))).calls == [("weather", {"city": "Oslo"})]
    found = await asyncio.gather(*(got(engine, wanted(toolbox=REQUIRED)) for _ in range(24)))
    assert all(answer.calls == [("weather", {"city": "Oslo"})] for answer in found)


async def test_wrong_accounts_are_asked_again_where_there_are_no_others(desk: Desk) -> None:
    """As often as the setting says; without re-asks the first answer counts."""
    for reasks in (0, 3):
        desk.bench.web.asked.clear()
        engine = await desk.open(WRONG, reasks=reasks)
        with pytest.raises(AnswerUnfit, match="asked once" if not reasks else "asked 4 times"):
            await got(engine, wanted(toolbox=BOX))
        assert len(desk.prompts()) == 1 + reasks


async def test_a_deadline_after_wrong_answers_says_so(desk: Desk) -> None:
    """And what was wrong with the last of them."""
    over = asyncio.Event()
    slow = UpstreamUnstable("slow", kind="slow_first_content")
    engine = await desk.open(WRONG, [over, slow], deadline=0.5)
    asyncio.get_running_loop().call_later(0.5, over.set)
    with pytest.raises(DeadlineExceeded, match=r"before the model gave an answer that can be used.*city"):
        await got(engine, wanted(toolbox=BOX))


async def test_right_calls_beside_a_wrong_one_are_handed_out_at_last(desk: Desk) -> None:
    """After the model was asked three times."""
    answer = await got(await desk.open(f"{GOOD}\n{WRONG}"), wanted(toolbox=BOX))
    assert answer.calls == [("weather", {"city": "Oslo"})]
    assert len(desk.prompts()) == 3


async def test_calls_that_never_are_right_are_told(desk: Desk) -> None:
    """Nothing that belongs to a call is shown as text."""
    with pytest.raises(AnswerUnfit, match=r'asked 3 times .* "city" is a required property'):
        await got(await desk.open(WRONG), wanted(toolbox=BOX))
    assert desk.outcomes() == {"failed": 1}


REQUIRED = replace(BOX, required=True)


async def test_a_required_call_is_insisted_on(desk: Desk) -> None:
    """Prose is held back and the model asked again; then the call comes, without the words before it."""
    answer = await got(await desk.open("It is cold.", f"Well:\n{GOOD}"), wanted(toolbox=REQUIRED))
    assert (answer.text, answer.calls) == ("", [("weather", {"city": "Oslo"})])
    assert "You must call at least one of the functions now" in desk.prompts()[0]
    assert "it calls no function. Answer again with nothing but the tool_call block" in desk.prompts()[1]


async def test_prose_is_the_answer_where_a_required_call_never_comes(desk: Desk) -> None:
    """After it was asked for three times."""
    answer = await got(await desk.open("It is cold."), wanted(toolbox=REQUIRED))
    assert (answer.text, answer.calls, answer.finish.reason) == ("It is cold.", [], FinishReason.STOP)
    assert len(desk.prompts()) == 3
    assert desk.outcomes() == {"refused": 1}


@pytest.mark.parametrize(
    "bare",
    ['{"city": "Oslo"}', 'Here: ```json\n{"city": "Oslo"}\n```', '```tool_call\n{"city": "Oslo"}\n```'],
)
async def test_bare_arguments_of_the_named_function_are_the_call(desk: Desk, bare: str) -> None:
    """Where only one function may be called there is no doubt whose they are."""
    box = replace(REQUIRED, allowed=frozenset({"weather"}))
    answer = await got(await desk.open(bare), wanted(toolbox=box))
    assert (answer.text, answer.calls) == ("", [("weather", {"city": "Oslo"})])
    assert 'You must call the function "weather" now' in desk.prompts()[0]
    assert len(desk.prompts()) == 1


@STREAM
@pytest.mark.parametrize(
    "answer",
    [
        '```json\n{"name": "Ada", "age": 36}\n```', '{"name": "Ada", "age": 36}', 'Here you are:\n{"name": "Ada", "age": 36}\nEnjoy!',
        '```json\n{"name": "Ada", "age": "36"}\n```', "{'name': 'Ada', 'age': 36,}", '```\n{"name": "Ada", "age": 36\n```', "See [1]: ```json\n{name: \"Ada\", age: 36}```",
        '{"age": 5}\n\n{"name": "Ada", "age": 36}',
    ],
)  # fmt: skip
async def test_json_of_a_schema_is_exactly_that(desk: Desk, answer: str, stream: bool) -> None:
    """Taken out of fences and prose, repaired where that needs no guess, in one piece and compact."""
    found = await got(await desk.open(answer), wanted(shape=PERSON, stream=stream))
    assert found.text == '{"name":"Ada","age":36}'
    assert found.finish.reason == FinishReason.STOP
    assert len(desk.prompts()) == 1


async def test_json_that_breaks_the_schema_is_asked_for_again(desk: Desk) -> None:
    """With the place at fault; then it is right."""
    engine = await desk.open('{"name": "Ada", "age": "old"}', '{"name": "Ada", "age": 36}')
    assert (await got(engine, wanted(shape=PERSON))).text == '{"name":"Ada","age":36}'
    assert 'its JSON breaks the schema: at age: the value is not of type "integer"' in desk.prompts()[1]
    assert desk.outcomes() == {"reasked": 1}


async def test_json_that_always_breaks_the_schema_is_an_error(desk: Desk) -> None:
    """Which says where."""
    with pytest.raises(AnswerUnfit, match='at age: the value is not of type "integer"'):
        await got(await desk.open('{"name": "Ada", "age": "old"}'), wanted(shape=PERSON))
    assert len(desk.prompts()) == 3


async def test_words_instead_of_json_are_a_refusal(desk: Desk) -> None:
    """After the model was asked three times; the words are the text."""
    answer = await got(await desk.open("I can't do that."), wanted(shape=PERSON))
    assert (answer.text, answer.finish.reason) == ("I can't do that.", FinishReason.REFUSAL)
    assert len(desk.prompts()) == 3
    assert desk.outcomes() == {"refused": 1}


async def test_any_object_will_do_where_no_schema_is_given(desk: Desk) -> None:
    """And nothing but an object."""
    engine = await desk.open("[1, 2]", '```json\n{"any": [1, 2.0, "ü"]}\n```')
    assert (await got(engine, wanted(shape=Shape()))).text == '{"any":[1,2.0,"ü"]}'
    assert "it must be a JSON object" in desk.prompts()[1]


@pytest.mark.parametrize(
    ("answer", "text"), [("Cold", '"cold"'), ('"cold"', '"cold"'), ('```json\n"hot"\n```', '"hot"')]
)
async def test_a_single_word_can_be_the_value(desk: Desk, answer: str, text: str) -> None:
    """Of an enumeration the model may write the bare word."""
    shape = Shape({"type": "string", "enum": ["hot", "cold"]})
    assert (await got(await desk.open(answer), wanted(shape=shape))).text == text


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [(f"So:\n{GOOD}", "", 1), ('```json\n{"name": "Ada"}\n```', '{"name":"Ada"}', 0)],
)
async def test_tools_and_a_schema_mean_calls_or_json(desk: Desk, answer: str, text: str, calls: int) -> None:
    """The text is JSON or nothing."""
    found = await got(await desk.open(answer), wanted(toolbox=BOX, shape=PERSON))
    assert (found.text, len(found.calls)) == (text, calls)


async def test_a_wish_for_a_picture_is_stronger(desk: Desk) -> None:
    """The prompt says nothing of functions or JSON then."""
    engine = await desk.open("I can't draw that.")
    with pytest.raises(InvalidRequest):
        await got(engine, wanted(toolbox=BOX, shape=PERSON, picture=PictureWish()))
    assert "<functions>" not in desk.prompts()[0]


async def test_an_answer_that_breaks_off_before_anything_was_shown_is_asked_for_again(desk: Desk) -> None:
    """The caller sees thoughts once, the call, and no error."""
    broken = [Delta(thoughts="Hm. "), *cut(GOOD)[:3], UpstreamUnstable("cut", kind="dropped")]
    engine = await desk.open(broken, [Delta(thoughts="Again. "), *cut(GOOD), Done()])
    answer = await got(engine, wanted(toolbox=BOX))
    assert (answer.text, answer.thoughts, answer.calls) == ("", "Hm. ", [("weather", {"city": "Oslo"})])


async def test_an_answer_that_breaks_off_after_text_was_shown_is_an_error(desk: Desk) -> None:
    """As without tools."""
    engine = await desk.open(
        [Delta("Let me look. "), *cut(GOOD)[:3], UpstreamUnstable("cut", kind="dropped")]
    )
    with pytest.raises(UpstreamFailed, match="broke off"):
        await got(engine, wanted(toolbox=BOX))


async def test_all_asking_again_shares_one_deadline(desk: Desk) -> None:
    """What the first answer took is not there for the second."""
    later = asyncio.Event()
    engine = await desk.open([later, Delta("words"), Done()], GOOD)
    asyncio.get_running_loop().call_later(0.1, later.set)
    await got(engine, wanted(toolbox=REQUIRED))
    first, second = (bounds.total for _, _, bounds in desk.bench.web.asked)
    assert first - second > 0.05


async def test_usage_counts_the_instructions_and_one_answer(desk: Desk) -> None:
    """The prompt is the first one, whole; answers that were asked for again are not summed."""
    answer = await got(await desk.open("words", GOOD), wanted(toolbox=REQUIRED))
    assert answer.finish.usage.prompt == estimate(desk.prompts()[0])
    assert answer.finish.usage.completion == estimate(GOOD)


async def test_pictures_of_an_answer_come_along(desk: Desk) -> None:
    """Those of the answer that counts, and no others."""
    made = Picture(PNG, "image/png")
    engine = await desk.open([Delta("words"), made, Done()], [Delta(GOOD), made, Done()])
    answer = await got(engine, wanted(toolbox=REQUIRED))
    assert len([event for event in answer.events if isinstance(event, Picture)]) == 1


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63600000000200015d0b2a0a"
    "0000000049454e44ae426082"
)


async def test_an_upstream_that_repeats_its_prompt_calls_nothing(desk: Desk) -> None:
    """The example of the instructions is no call, nor are the declarations."""
    engine = await desk.open("x")
    await got(engine, wanted(toolbox=BOX))
    echo = desk.prompts()[0]
    desk.bench.web.anybody = [[Delta(echo), Done()]]
    answer = await got(engine, wanted(toolbox=BOX))
    assert (answer.text, answer.calls) == (echo, [])


async def test_a_whole_loop_of_a_tool(desk: Desk) -> None:
    """The call and its result stand in the next prompt, the call in the form that the model is asked for."""
    engine = await desk.open("It is 7 degrees.")
    history = (
        *ASKED,
        Message("assistant", (), tool_calls=(ToolCall("call_1", "weather", '{"city": "Oslo"}'),)),
        Message("tool", (Text("7 degrees"),), tool_call_id="call_1"),
    )
    assert (await got(engine, wanted(toolbox=BOX, messages=history))).text == "It is 7 degrees."
    prompt = desk.prompts()[0]
    assert (
        '<assistant>\n```tool_call\n{"name":"weather","arguments":{"city":"Oslo"}}\n```\n</assistant>'
        in prompt
    )
    assert '<tool_result name="weather" id="call_1">\n7 degrees\n</tool_result>' in prompt
    assert prompt.endswith(
        "Where a function helps, call it with a tool_call block; otherwise answer in words."
    )


async def test_an_empty_toolbox_is_none(desk: Desk) -> None:
    """Nothing is said of functions, and the question goes through as it is."""
    engine = await desk.open("It is cold.")
    for box in (Toolbox(()), replace(REQUIRED, allowed=frozenset({"nobody"}))):
        assert (await got(engine, wanted(toolbox=box))).text == "It is cold."
    assert desk.prompts() == [ASKED[0].text] * 2


DEAD = [UpstreamUnstable("cut", kind="dropped")]


@pytest.mark.parametrize(
    ("first", "box", "text", "calls"),
    [
        ("It is cold.", REQUIRED, "It is cold.", 0),
        (f"So:\n{GOOD}\n{WRONG}", BOX, "So:", 1),
    ],
)
async def test_where_nobody_can_be_asked_again_the_first_answer_will_do(
    desk: Desk, first: str, box: Toolbox, text: str, calls: int
) -> None:
    """Prose, or the calls that are right, are better than an error."""
    answer = await got(await desk.open(first, DEAD, attempts=1), wanted(toolbox=box))
    assert (answer.text, len(answer.calls)) == (text, calls)


@pytest.mark.parametrize("first", [WRONG, f"So:\n{WRONG}", "I can't."])
async def test_where_nobody_can_be_asked_again_half_an_answer_is_none(desk: Desk, first: str) -> None:
    """A wrong call alone, and words instead of JSON that were not insisted on, end with what went wrong."""
    ask = wanted(toolbox=BOX) if WRONG in first else wanted(shape=PERSON)
    with pytest.raises(UpstreamFailed, match="none answered"):
        await got(await desk.open(first, DEAD, attempts=1), ask)


HOSTILE = {
    "braces": "{" * 400_000, "brackets": "[" * 400_000, "quotes": '{"' * 200_000, "lines": "{\n" * 200_000, "less": "<" * 400_000,
    "escapes": '{"name": "weather", "arguments": {"city": "' + '\\"' * 200_000, "ticks": "x\n```js\n" + "`" * 400_000 + "x",
    "tags": '<tool_call>{"a' * 28_000, "fences": '```tool_call\n{"a": "' * 20_000, "words": "[x]\n" * 100_000,
    "fenced": "```tool_call\n" + '{"name": "weather", "arguments": {"city": "' + "a'\\\"" * 100_000 + "\n```",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    ("box", "shape", "size"), [(BOX, None, 400_000), (BOX, None, 400), (REQUIRED, None, 400_000), (None, PERSON, 400_000)],
    ids=["whole", "in-pieces", "required", "shape"],
)  # fmt: skip
async def test_a_hostile_answer_leaves_the_loop_alone(
    desk: Desk, text: str, box: Toolbox | None, shape: Shape | None, size: int
) -> None:
    """No step of the event loop computes for long, and all of it is over after seconds. Counted in time of the processor."""
    engine = await desk.open([*cut(text, size), Done()], reasks=0)
    worst = 0.0
    over = False

    async def beat() -> None:
        nonlocal worst
        while not over:
            began = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - began)

    beats = asyncio.create_task(beat())
    began = time.process_time()
    with contextlib.suppress(AnswerUnfit):
        await got(engine, wanted(toolbox=box, shape=shape, stream=size == 400))
    over = True
    await beats
    assert worst < 0.1
    assert time.process_time() - began < 20

"""Calls are told from prose the same way however the answer was cut, and nothing of either is lost or mixed up."""

import json
import random
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.shaping.forms import Broken, Call
from engine.shaping.page import Piece
from engine.shaping.reader import Reader

NAMES = frozenset({"weather", "now", "write_file"})
OSLO = {"city": "Oslo"}


def read(answer: str, cuts: list[int] | None = None) -> tuple[str, list[Call | Broken]]:
    """The text and the calls of an answer, fed in pieces that end at `cuts`."""
    reader = Reader(NAMES)
    pieces: list[Piece] = []
    at = 0
    for cut in sorted({cut for cut in cuts or [] if 0 < cut < len(answer)}):
        pieces += reader.feed(answer[at:cut])
        at = cut
    pieces += reader.feed(answer[at:])
    pieces += reader.finish()
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return text, [piece for piece in pieces if not isinstance(piece, str)]


def fenced(body: str, label: str = "tool_call") -> str:
    return f"```{label}\n{body}\n```"


def plain(answer: str) -> list[tuple[str, dict[str, Any]]]:
    text, calls = read(answer)
    assert text == ""
    return [(call.name, call.arguments) for call in calls if isinstance(call, Call)]


GOOD = '{"name": "weather", "arguments": {"city": "Oslo"}}'


@pytest.mark.parametrize(
    "answer",
    [
        fenced(GOOD),
        f"~~~tool_call\n{GOOD}\n~~~", f"~~~json\n{GOOD}\n~~~", f"~~~tool_call\n{GOOD[:-1]}\n~~~",
        fenced(GOOD, "json"), fenced(GOOD, "tool_calls"), fenced(GOOD, "tool_code"), fenced(GOOD, ""), fenced(GOOD, "JSON"),
        fenced(GOOD, "tool\\_call"), fenced(GOOD, "tool_call  "), fenced("tool_call\n" + GOOD, ""), fenced("json\n" + GOOD, ""),
        f"```tool_call {GOOD}```", f"```tool_call\n{GOOD}", f"```tool_call\n{GOOD}```", f"````tool_call\n{GOOD}\n````",
        "  " + fenced(GOOD),
        GOOD, f"\n{GOOD}\n", f"<tool_call>{GOOD}</tool_call>", f"<tool_call>\n{GOOD}\n</tool_call>", f"<tool_call>{GOOD}",
        '{"tool_calls": [%s]}' % GOOD,  # noqa: UP031
        f"[{GOOD}]",
        '{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}',
        fenced('{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}}', "json"),
        '{"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\\"city\\":\\"Oslo\\"}"}}]}',
        fenced('{"name": "weather", "parameters": {"city": "Oslo"}}', "json"),
        fenced('{"tool": "weather", "input": {"city": "Oslo"}}', "json"),
        fenced('{"action": "weather", "action_input": {"city": "Oslo"}}', "json"),
        fenced('{"name": "functions.weather", "arguments": {"city": "Oslo"}}'),
        fenced('{"name": "weather", "arguments": {"city": "Oslo",},}'),
        fenced("{'name': 'weather', 'arguments': {'city': 'Oslo'}}"),
        fenced("{“name”: “weather”, “arguments”: {“city”: “Oslo”}}"),
        fenced('{name: "weather", arguments: {city: "Oslo"}}'),
        fenced('{"name": "weather", "arguments": {"city": "Oslo"}'),
        fenced('{"name": "weather", "arguments": {"city": "Oslo"}}}'),
        fenced('{"name": "weather", // the city\n "arguments": {"city": "Oslo"}}'),
        fenced('{"name": "weather", "city": "Oslo"}'),
        '```tool_call\n{"name": "weather", "arguments": {"city": "Oslo"}',
    ],
)  # fmt: skip
def test_every_form_of_a_call_is_understood(answer: str) -> None:
    """Fences, tags and bare JSON; other words for the keys; arguments as text; and JSON as models write it."""
    assert plain(answer) == [("weather", OSLO)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"path": "a\\_b.py"}', {"path": "a_b.py"}),
        ('{"text": "one\ntwo"}', {"text": "one\ntwo"}),
        ('{"text": "# T\n```python\nx = {1}\n```\nend"}', {"text": "# T\n```python\nx = {1}\n```\nend"}),
        ('{"text": "he said "hi", and left"}', {"text": 'he said "hi", and left'}),
        ('{"a": True, "b": None, "c": False}', {"a": True, "b": None, "c": False}),
        ('{"re": "\\d+\\s"}', {"re": "\\d+\\s"}),
        ("{'text': 'it\\'s'}", {"text": "it's"}),
        ('{"text": "“quoted” and \'so\'", "n": 5,}', {"text": "“quoted” and 'so'", "n": 5}),
        ('{"text": "<tool_call> & ``` } {"}', {"text": "<tool_call> & ``` } {"}),
        ('{"emoji": "\\ud83d\\ude00", bad: 1}', {"emoji": "😀", "bad": 1}),
        ('{"n": 123456789012345678901234567890, "x": 1.0,}', {"n": 123456789012345678901234567890, "x": 1.0}),
        ("{}", {}), ("null", {}), ('""', {}),
    ],
)  # fmt: skip
def test_arguments_come_through(written: str, meant: dict[str, Any]) -> None:
    """To the letter, however they were written, with fences and tags within strings."""
    assert plain(fenced('{"name": "write_file", "arguments": %s}' % written)) == [("write_file", meant)]  # noqa: UP031


@pytest.mark.parametrize(
    "answer",
    [
        "Just words.", "Words with `code` and ``more`` and ```x``` inline.", "", " \n ",
        "```python\nprint({'name': 'weather', 'arguments': {}})\n```\nDone.",
        '```json\n{"name": "Alice", "arguments": {}}\n```', '```json\n{"city": "Oslo"}\n```', "```json\n[1, 2]\n```",
        '```json\n{"name": "weather", "arguments": {}, "also": 1}\n```', '```json\n{"name": "weather"}\n```',
        '```json\n[{"name": "weather", "arguments": {}}, {"name": "Alice"}]\n```',
        '```json\n{"examples": [{"name": "weather", "arguments": {}}]}\n```',
        '{"examples": [\n{"name": "weather", "arguments": {}}\n]}',
        fenced("print(weather())", "tool_code"), fenced("", ""),
        '````markdown\n```tool_call\n{"name": "weather", "arguments": {}}\n```\n````',
        'To call it write {"name": "weather", "arguments": {}} in a block.',
        "[a link](https://example.com) and [it's one]", "- [ ] todo\n[x] done", "{", "[", "`", "```", "```tool_call", "<tool_call>", "<tool",
        "a < b and c > d <tool_cal", '{"name": "Al', '```json\n{"na', "{'", "```json\n{}\n```\nand\n```\nx\n```",
        '```tool_call\n{"name": <name of the function>, "arguments": {<its arguments>}}\n```',
        "if (a) {\n  b();\n}\n",
    ],
)  # fmt: skip
def test_everything_else_stays_text(answer: str) -> None:
    """Other languages, JSON that is none of the forms, functions that nobody offered, the example of the instructions."""
    assert read(answer) == (answer, [])


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        (f"Let me look.\n\n{fenced(GOOD)}", "Let me look.", 1),
        (f"Let me look. {fenced(GOOD)}", "Let me look.", 1),
        (f"A `{{` b\n<tool_call>{GOOD}</tool_call>", "A `{` b", 1),
        (f"{fenced(GOOD)}\n\n{fenced(GOOD)}", "", 2),
        (f"```tool_call\n{GOOD}\n{GOOD}\n```", "", 2),
        (f"```tool_call\n[{GOOD}, {GOOD}]\n```", "", 2),
        (f"```json\n{GOOD}\n{GOOD}\n```", "", 2),
        (f"```tool_call\n{GOOD}\n```tool_call\n{GOOD}\n```", "", 2),
        (f"x\n{fenced(GOOD)}\n<tool_result>\n7 degrees\n</tool_result>\nIt is 7 degrees.\n{fenced(GOOD)}\nbye", "x", 2),
        (f"{fenced(GOOD)}\n```json\n{{\"temperature\": 7}}\n```", "", 1),
        (f"```python\nx = 1\n```\n{fenced(GOOD)}", "```python\nx = 1\n```", 1),
        (f"```python\nx = 1\n{fenced(GOOD)}", "```python\nx = 1", 1),
        (f'{{"a": "it\'s"}}\n{fenced(GOOD)}', '{"a": "it\'s"}', 1),
        (f"[it's one]\n{fenced(GOOD)}", "[it's one]", 1),
        (f"{{'a\n{fenced(GOOD)}", "{'a", 1),
    ],
)  # fmt: skip
def test_text_before_a_call_is_kept_and_babble_after_it_is_not(answer: str, text: str, calls: int) -> None:
    """What a model writes after its calls, invented results above all, is none of the answer; further calls are."""
    found = read(answer)
    assert found == (text, [Call("weather", OSLO)] * calls)


@pytest.mark.parametrize(
    "block",
    [
        '{"name": "weather", "arguments": {"city": "Os',
        '{"name": "weather", "arguments": {"city" "Oslo"}}',
        '{"name": "weather", "arguments": [1]}',
        '{"name": "weather", "arguments": {"n": 1e999}}\n```',
        '{"name": "weather", "arguments": {"n": 1',
    ],
)
def test_what_was_meant_as_a_call_is_no_text(block: str) -> None:
    """An unreadable call of an offered function is told apart, so that it can be asked for again: above all one that
    breaks off, whose rest nobody may guess."""
    text, found = read(f"So:\n```tool_call\n{block}")
    assert text == "So:"
    assert [type(piece) for piece in found] == [Broken]


@pytest.mark.parametrize(
    "answer",
    [
        fenced('{"name": "nobody", "arguments": {}}'), fenced('{"name": "nobody"}'), '<tool_call>{"name": "nobody"}</tool_call>',
        fenced('{"tool_calls": [{"function": {"name": "nobody", "arguments": "{}"}}]}'), fenced("{'name': 'nobody', 'arguments': {}}"),
        fenced('{"name": "nobody", "arguments": {"a": "'),
    ],
)  # fmt: skip
def test_a_call_of_a_function_that_nobody_offered_is_no_text(answer: str) -> None:
    """Where it says itself that it is a call; beside others it stands in its place."""
    text, (found,) = read(f"So:\n{answer}")
    assert (text, type(found), found.name) == ("So:", Broken, "nobody")
    if "[" not in answer and answer.endswith("```"):
        _, both = read(f"{fenced(GOOD)}\n{answer}")
        assert [type(piece) for piece in both] == [Call, Broken]


@pytest.mark.parametrize("label", ["json", ""])
@pytest.mark.parametrize(
    "after", ["is how a call looks.", "```python\nx = 1\n```", "```json\n{}\n```\nis what it gives."]
)
def test_json_with_prose_behind_it_is_an_example(label: str, after: str) -> None:
    """Where its fence does not say that it holds calls; one that says so is a call whatever follows."""
    answer = f"So:\n{fenced(GOOD, label)}\n{after}"
    assert read(answer) == (answer, [])
    assert read(f"So:\n{fenced(GOOD)}\n{after}") == ("So:", [Call("weather", OSLO)])
    assert read(f"{fenced(GOOD, label)}\n{fenced(GOOD)}\n{after}") == ("", [Call("weather", OSLO)] * 2)


PIECES = st.lists(
    st.sampled_from(
        ["```", "~~~", "~", "``", "`", "````", "\n", " ", "tool_call", "tool\\_call", "json", "python", "tool_code", "<tool_call>",
         "</tool_call>", "<", "{", "}", "[", "]", '"', "'", "“", "\\", ":", ",", '{"name": "weather", "arguments": {}}',
         '{"name": "weather", "arguments": {"city": "Oslo"}', '"name"', '"weather"', '"arguments"', "name", "word", "it's", "5",
         '{"tool_calls": [', '{"function": ', '{"id": ', "text\n", "\n```\n", "```tool_call\n", "```json\n", "//", "/*", "é"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=800, deadline=None)
@given(PIECES, st.lists(st.integers(1, 120), max_size=12))
@example("```x<tool_call>" + GOOD, [4])
def test_any_cut_gives_the_same(answer: str, cuts: list[int]) -> None:
    """For any cut into deltas text and calls are those of the whole answer; so they are character by character."""
    whole = read(answer)
    assert read(answer, cuts) == whole
    assert read(answer, list(range(len(answer)))) == whole


@settings(max_examples=300, deadline=None)
@given(PIECES)
def test_an_answer_without_calls_is_its_text(answer: str) -> None:
    """Where there is no call nothing is lost or added, and what is text of an answer with calls is its beginning."""
    text, calls = read(answer)
    if calls:
        assert answer.startswith(text)
    else:
        assert text == answer


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`<{["), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12) | st.sampled_from(["```", "</tool_call>", '"}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
MADE = st.tuples(st.sampled_from(sorted(NAMES)), st.dictionaries(st.text(max_size=8), VALUES, max_size=3))


@settings(max_examples=150, deadline=None)
@given(WORDS, st.lists(MADE, min_size=1, max_size=3), WORDS, st.randoms())
def test_calls_as_they_were_asked_for_come_through(
    before: str, calls: list[tuple[str, dict[str, Any]]], after: str, chance: random.Random
) -> None:
    """Text before, any arguments, in any spacing of JSON, babble after, in any cut."""
    blocks = [
        fenced(
            json.dumps(
                {"name": n, "arguments": a},
                ensure_ascii=chance.random() < 0.5,
                indent=chance.choice([None, 2]),
            )
        )
        for n, a in calls
    ]
    answer = "\n".join([before, *blocks, after])
    text, found = read(answer, [chance.randrange(len(answer)) for _ in range(20)])
    assert text == before.rstrip()
    assert found == [Call(name, arguments) for name, arguments in calls]


def test_text_is_held_back_no_longer_than_needed() -> None:
    """A fence of another language is shown with its first letter that no call has, JSON with its first key, a name
    with its end; prose at once."""
    reader = Reader(NAMES)
    shown = [reader.feed(piece) for piece in ("So", "me ", "words.", "\n``", "`", "p", "ython\nx", "\n```\n")]
    assert shown == [["So"], ["me"], [" words."], [], [], ["\n```p"], ["ython\nx"], ["\n```"]]
    assert [reader.feed(piece) for piece in ('{"', "ci", 'ty": 1}')] == [[], ['\n{"ci'], ['ty": 1}']]
    assert [reader.feed(piece) for piece in ('\n{"name": "', "weather", ' report"')] == [
        [],
        [],
        ['\n{"name": "weather report"'],
    ]


def test_long_answers_are_read_in_linear_time() -> None:
    """Half a megabyte in small deltas, as prose, as one call, and as what never becomes one, takes seconds at most."""
    for answer in (
        "word [x] {y} `z` <b> \n" * 20_000,
        fenced(json.dumps({"name": "write_file", "arguments": {"text": "line\n" * 50_000}})),
        '```tool_call\n{"name": "weather", "arguments": {"a": "' + "x\n" * 100_000,
        "{" * 100_000, "```\n" * 50_000, '{"a":"' * 30_000, "`" * 100_000,
    ):  # fmt: skip
        began = time.process_time()
        read(answer, list(range(0, len(answer), 200)))
        assert time.process_time() - began < 3

"""JSON that was asked for is found wherever the model put it, and nothing is handed out that breaks its schema."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.schemas import Validator
from engine.shaping.lenient import NoJson, lenient, strict
from engine.shaping.values import Kept, Rule, Wrong, found_in

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10)
    | st.sampled_from(["```", "}", '"', "\\", "it's", "“x”", "a, b: c", "\n```\n", "//", "/* x */"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=3)
AROUND = st.sampled_from(
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}\n```",
        "```json\n{}",
        "Here it is:\n\n```json\n{}\n```\nEnjoy!",
        "So: {}",
        "\n {}\n",
    ]
)
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "s": {"enum": ["a", "b"]}, "l": {"type": "array", "items": {"type": "number"}}},
    "required": ["n"],
}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(OBJECTS, AROUND, st.booleans(), st.sampled_from([None, 2]))
def test_an_object_is_found_wherever_it_stands(
    value: dict[str, Any], around: str, ascii_: bool, indent: int | None
) -> None:
    """Alone, in a fence, in prose, in any spacing: it comes back as it is, fences and quotes in its strings included."""
    written = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    found = found_in(around.replace("{}", written), Rule(None))
    assert isinstance(found, Kept)
    assert found.value == value


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_correct_json_is_read_the_same_by_the_lenient_reader(value: Any) -> None:
    """It is a superset: what is correct means what it says."""
    written = json.dumps(value, ensure_ascii=False)
    assert strict(written) == value
    if isinstance(value, dict | list):
        assert lenient(written) == [value]


NOISE = st.lists(
    st.sampled_from(["{", "}", "[", "]", '"n"', ":", ",", "5", '"5"', "```", "json", "\n", " ", "word", '{"n": 5}', '{"n": "x"}', "'", "\\", "“"]),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(NOISE)
def test_whatever_is_found_keeps_the_schema(text: str) -> None:
    """For any answer: a value that keeps it, a fault, or nothing; and never an exception."""
    found = found_in(text, Rule(SCHEMA))
    if isinstance(found, Kept):
        assert Validator(SCHEMA).fault(found.value) is None
    else:
        assert found is None or found.why


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I can't do that.", None), ("", None), ("I can't [1] do {that}.", None), ("`code`", None),
        ('{"n": "x"}', Wrong('at n: the value is not of type "integer"')),
        ('```json\n{"s": "a"}\n```', Wrong('"n" is a required property')),
        ('{"n": 5, "s": "A"}', Kept({"n": 5, "s": "a"}, True)),
        ('{"s": "a"} or rather {"n": 5}', Kept({"n": 5}, False)),
        ('```json\n[1]\n```\nand\n```json\n{"n": 7}\n```', Kept({"n": 7}, False)),
    ],
)  # fmt: skip
def test_words_are_told_from_wrong_json(text: str, found: Kept | Wrong | None) -> None:
    """Brackets in prose are no JSON; the first that was meant to be JSON says what is wrong."""
    assert found_in(text, Rule(SCHEMA)) == found


def test_json_that_breaks_off_is_wrong() -> None:
    """It is neither completed nor taken for words."""
    found = found_in('```json\n{"n": 5, "s": "a', Rule(SCHEMA))
    assert found == Wrong("it is no correct JSON: it breaks off within a string")


@pytest.mark.parametrize(
    "text", ["{" * 200_000, '{"n":' * 50_000, "[{" * 50_000, '{"n":"' + 'x"y' * 60_000, "```\n" * 50_000, "{a} " * 50_000, '{"n"' + "//\n" * 60_000]
)  # fmt: skip
def test_hostile_answers_cost_seconds_at_most(text: str) -> None:
    """A fifth of a megabyte that never becomes JSON."""
    began = time.process_time()
    found_in(text, Rule(SCHEMA))
    with pytest.raises(NoJson):
        strict(text)
    assert time.process_time() - began < 3

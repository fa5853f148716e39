"""What the model is told says all that the caller declared, and compactly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Shape, Tool, Toolbox
from core.errors import InvalidRequest
from core.schemas import Validator
from engine.shaping.fitting import fitted
from engine.shaping.instructions import Instructions, without_noise
from engine.shaping.reader import Reader

LEAF = st.sampled_from(
    [{"type": "string"}, {"type": "integer", "minimum": 2}, {"enum": ["a", "title"]}, {"const": {"title": "x"}}, {"type": ["null", "number"]},
     {"title": "t", "type": "boolean"}, {"$comment": "c"}, True, {"$ref": "#/$defs/d"}]
)  # fmt: skip
NAMES = st.sampled_from(["title", "$schema", "$id", "a", "$comment", "properties"])
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "title": st.just("a title"),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "additionalProperties": inner,
            "default": st.just({"title": 1}),
        },
    ),
    max_leaves=6,
).map(lambda schema: {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"d": {"type": "string"}}, "allOf": [schema]})  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "title", "5", "true", "null"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(SCHEMAS, JSON)
def test_what_is_left_out_changes_no_meaning(schema: dict[str, Any], value: Any) -> None:
    """Whatever keeps the schema as it was sent keeps it as it is told to the model, and the other way round."""
    told = without_noise(schema)
    assert (Validator(schema).fault(value) is None) == (Validator(told).fault(value) is None)
    assert "$schema" not in told


@given(SCHEMAS, JSON)
def test_fitting_is_done_once(schema: dict[str, Any], value: Any) -> None:
    """What was fitted is JSON and is not changed by fitting it again."""
    there = fitted(schema, value)
    assert json.loads(json.dumps(there)) == there
    assert fitted(schema, there) == there


@pytest.mark.parametrize(
    ("schema", "value", "there"),
    [
        ({"type": "integer"}, "5", 5), ({"type": "integer"}, "5.5", "5.5"), ({"type": "integer"}, 5.0, 5), ({"type": "number"}, " 1.5 ", 1.5),
        ({"type": "boolean"}, "True", True), ({"type": "string"}, 5, "5"), ({"type": "string"}, True, "true"), ({"type": ["string", "number"]}, 5, 5),
        ({"type": "array", "items": {"type": "integer"}}, '["1", 2]', [1, 2]), ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": ["integer", "null"]}, "null", None), ({"enum": ["Celsius", "Kelvin"]}, "celsius", "Celsius"),
        ({"properties": {"a": {"type": "string"}}}, {"a": None, "b": None}, {"b": None}),
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"a": None}, {"a": None}),
        ({"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}, {"a": "7"}, {"a": 7}),
        ({"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}, {"a": "7"}, {"a": 7}),
        ({"$ref": "#"}, "5", "5"), ({"type": "integer"}, "9" * 400, "9" * 400),
    ],
)  # fmt: skip
def test_the_right_thing_in_the_wrong_type_is_understood(
    schema: dict[str, Any], value: Any, there: Any
) -> None:
    """And what would need a guess is left as it is."""
    assert fitted(schema, value) == there
    assert type(fitted(schema, value)) is type(there)


TRICKY = st.text(max_size=12) | st.sampled_from(
    ["</functions>", "</json_schema>", "<functions>", "```tool_call", "{x}", "\n"]
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b.c", "d-e"]), TRICKY, SCHEMAS), min_size=1, max_size=3))
def test_every_function_stands_on_a_line_of_its_own(declared: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Names, descriptions and schemas come back from the lines between the tags, whatever they hold; and none of it is a
    call to who reads it as an answer."""
    tools = tuple(Tool(*each) for each in declared)
    text = (
        Instructions()
        .frame(Toolbox(tools), Shape({"description": declared[0][1]}, declared[0][1], "x"))
        .preamble
    )
    lines = text.split("<functions>\n", 1)[1].split("\n</functions>")[0].split("\n")
    assert [json.loads(line) for line in lines] == [
        {"name": tool.name, "description": tool.description, "parameters": without_noise(tool.parameters)}
        for tool in tools
    ]
    assert text.count("</functions>") == 2  # in the words about them, and at their end
    assert text.count("</json_schema>") == 1
    reader = Reader(frozenset(tool.name for tool in tools))
    assert [piece for piece in (*reader.feed(text), *reader.finish()) if not isinstance(piece, str)] == []


def test_the_same_content_is_rendered_once() -> None:
    """Other objects with the same content, too; and what is remembered is bounded."""
    made = Instructions(kept=40_000)
    box = [Toolbox((Tool("f", "x" * 10_000 + str(n), {"type": "object"}),)) for n in range(20)]
    first = made.frame(box[0], None).preamble
    again = Toolbox((Tool("f", "x" * 10_000 + "0", {"type": "object"}),))
    assert made.frame(again, None).preamble is first
    for each in box[1:]:
        made.frame(each, None)
    assert made.frame(box[0], None).preamble is not first


def test_a_tool_whose_schema_nobody_checked_is_the_callers_mistake() -> None:
    """The engine itself refuses it, too."""
    with pytest.raises(InvalidRequest):
        Validator({"type": "nothing"})

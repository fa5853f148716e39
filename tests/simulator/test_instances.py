"""Values that keep a schema: as a validator sees it."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.instances import instance
from simulator.keywords import Unsatisfiable
from simulator.words import Words

QUESTION = (
    "What is the weather in Paris and New York for 3 days in fahrenheit? My name is Ada, write to 'Bob'."
)
SCHEMAS: list[Any] = [
    True,
    {},
    {"type": "string"},
    {"type": ["null", "integer"]},
    {"const": {"a": [1]}},
    {"enum": ["celsius", "fahrenheit"]},
    {"type": "string", "minLength": 300},
    {"type": "string", "maxLength": 2},
    *(
        {"type": "string", "format": f}
        for f in ("date", "date-time", "time", "email", "ipv4", "ipv6", "uri", "uuid")
    ),
    *(
        {"type": "string", "pattern": p}
        for p in (
            r"^[A-Z]{3}-\d+$",
            r"^(yes|no)$",
            r"^\S+@\S+\.com$",
            "^[^a]+$",
            r"^\w{2,4}$",
            "^#[0-9a-f]{6}$",
        )
    ),
    {"type": "integer", "minimum": 7, "maximum": 7},
    {"type": "integer", "exclusiveMinimum": 5, "multipleOf": 4},
    {"type": "number", "exclusiveMaximum": -1.5},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "maxItems": 0},
    {"type": "array", "contains": {"const": 5}},
    {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 9}]},
    {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]},
            {"type": "null"},
        ]
    },
    {
        "allOf": [
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
    {"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "integer"}},
    {"type": "object", "minProperties": 3},
    {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["value", "next", "children"],
                "additionalProperties": False,
            }
        },
    },
]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_it_keeps_the_schema(schema: Any, full: bool) -> None:
    """With what is optional and without."""
    made = instance(schema, Words(QUESTION), full=full)
    jsonschema_rs.validate(schema, made, validate_formats=True)


@pytest.mark.parametrize("schema", [False, {"type": "integer", "minimum": 3, "maximum": 2}, {"$ref": "#/x"}])
def test_what_nothing_keeps_is_said_so(schema: Any) -> None:
    """No wrong value is made up."""
    with pytest.raises(Unsatisfiable):
        instance(schema, Words(""))


LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-9, 9),
        st.integers(0, 9),
    ),
    st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 3}, st.integers(0, 30)),
    st.builds(
        lambda options: {"enum": options},
        st.lists(st.one_of(st.integers(), st.text(max_size=5)), min_size=1, max_size=3),
    ),
)
NAMES = st.sampled_from(["city", "name", "days", "query", "note"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda properties, required: {
                "type": "object",
                "properties": properties,
                "required": sorted(required & set(properties)),
                "additionalProperties": False,
            },
            st.dictionaries(NAMES, inner, max_size=4),
            st.sets(NAMES),
        ),
        st.builds(
            lambda items, n: {"type": "array", "items": items, "minItems": n, "maxItems": n + 2},
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda ways: {"anyOf": ways}, st.lists(inner, min_size=1, max_size=3)),
    )


@given(schema=st.recursive(LEAVES, nested, max_leaves=8), words=st.text(max_size=60), full=st.booleans())
@settings(max_examples=200)
def test_any_schema_is_kept(schema: Any, words: str, full: bool) -> None:
    """Whatever the schema and the words are."""
    jsonschema_rs.validate(schema, instance(schema, Words(words), full=full))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What's the weather in Paris and New York?", ["Paris", "New York"]),
        ("Is it raining in São Paulo, or in Oslo?", ["São Paulo", "Oslo"]),
        ("Paris weather?", ["Paris"]),
        ("Extract: Jason is 25 years old", ["Jason"]),
        ("how are you", []),
    ],
)
def test_names_are_found(text: str, names: list[str]) -> None:
    """Capitalised words that do not only begin a sentence."""
    assert Words(text).names == names


def test_values_come_from_the_words() -> None:
    """Names, numbers, options and sums of the question stand where they fit."""
    schema = {
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "expression": {"type": "string"},
        }
    }
    made = instance(schema, Words("Jason is 25 and asks in fahrenheit for (2 + 3) * 4"))
    assert made == {"name": "Jason", "age": 25, "unit": "fahrenheit", "expression": "(2 + 3) * 4"}

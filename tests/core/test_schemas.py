"""A caller's schema is refused at the edge, or kept to the letter; a hostile one harms nobody."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidRequest
from core.schemas import Validator, check, from_openapi

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "anyOf", "$ref", "enum", "required", "pattern", "nullable", "minItems", "not",
     "$defs", "format", "additionalProperties", "propertyOrdering", "if", "prefixItems", "$id", "dependencies"]
)  # fmt: skip
SCHEMAS = st.recursive(
    JSON | st.sampled_from(["string", "OBJECT", "#", "#/$defs/a", "(", "(?=a)"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def chained(links: int, **last: Any) -> dict[str, Any]:
    """Definitions that each refer to the next one."""
    steps = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(links)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{links}": last}}


@pytest.mark.parametrize(
    ("schema", "place", "words"),
    [
        ([], "", "must be a JSON Schema"),
        ("x", "", "must be a JSON Schema"),
        ({"type": "OBJECT"}, ".type", "must be one of string"),
        ({"properties": {"a": {"type": "strin"}}}, ".properties.a.type", "must be one of string"),
        ({"properties": ["a"]}, ".properties", "an object of schemas"),
        ({"anyOf": {}}, ".anyOf", "a list of schemas"),
        ({"items": 5}, ".items", "must be a JSON Schema"),
        ({"required": "a"}, ".required", "no valid JSON Schema"),
        ({"minLength": "5"}, ".minLength", "no valid JSON Schema"),
        ({"properties": {"a": {"pattern": "("}}}, ".properties.a.pattern", "no regular expression"),
        ({"patternProperties": {"(?=a)": {}}}, ".patternProperties", "write it plainly"),
        ({"$ref": "#/$defs/a"}, ".$ref", "not in the schema"),
        ({"$ref": 5}, ".$ref", "must be text"),
        ({"items": {"$ref": "https://example.com/a.json"}}, ".items.$ref", "must stay within"),
        ({"$ref": "file:///etc/passwd"}, ".$ref", "must stay within"),
        ({"$dynamicRef": "#a"}, ".$dynamicRef", "not supported"),
        ({"$ref": "#"}, "", "without end"),
        ({"anyOf": [{"$ref": "#"}]}, ".anyOf[0]", "without end"),
        ({"enum": list(range(60_000))}, "", "larger than 256 kB"),
        (nested(100), "", "deeper than 128 levels"),
        (nested(10_000), "", "nested too deeply"),
        (chained(5_000), "", "subschemas"),
        ({"patternProperties": {"(a{1000}){1000}": {}}}, ".patternProperties", "write it plainly"),
    ],
)  # fmt: skip
def test_what_is_no_usable_schema_is_the_callers_mistake(schema: Any, place: str, words: str) -> None:
    """The error names the place in the caller's own spelling and says what to do."""
    with pytest.raises(InvalidRequest, match=words.replace("$", r"\$")) as error:
        check(schema, "tools[0].function.parameters")
    assert error.value.param == f"tools[0].function.parameters{place}"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "id": {"type": "string"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"items": [{"type": "string"}]},
        {"$schema": "https://nowhere.example/own", "type": "string"},
        {"$id": "https://nowhere.example/x", "$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"type": "string", "pattern": r"^(?!\.)[a-z]+$"},
        {"format": "anything", "x-note": {"$ref": "https://nowhere.example"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "array", "items": {"$ref": "#"}},
    ],
)
def test_what_clients_send_is_usable(schema: dict[str, Any]) -> None:
    """Older drafts, own names, patterns that look around and what is no keyword at all are no mistakes."""
    check(schema, "schema")


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        ({"type": "integer"}, 5, None),
        ({"type": "integer"}, "5", 'the value is not of type "integer"'),
        ({"required": ["city"]}, {}, '"city" is a required property'),
        ({"properties": {"a": {"items": {"minimum": 2}}}}, {"a": [3, 1]}, "at a[1]: the value is less than"),
        ({"enum": ["c", "f"]}, "x" * 10_000, 'the value is not one of "c" or "f"'),
        ({"format": "date"}, "tomorrow", 'the value is not a "date"'),
        ({"format": "date-time"}, "2026-11-21T10:00:00", None),
        ({"pattern": r"^(?=a)"}, "b", None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, 1, 'the value is not of type "null"'),
        (
            {"anyOf": [{"type": "string"}, {"properties": {"n": {"type": "integer"}}}]},
            {"n": "x"},
            'at n: the value is not of type "integer"',
        ),
    ],
)
def test_the_first_fault_is_told_in_plain_words(
    schema: dict[str, Any], value: Any, fault: str | None
) -> None:
    """With the path to it, and never with the value itself, which may be long."""
    found = Validator(schema).fault(value)
    assert found is None if fault is None else found is not None and found.startswith(fault)


@given(SCHEMAS, JSON)
def test_any_schema_is_refused_or_judges_any_value(schema: Any, value: Any) -> None:
    """Nothing but InvalidRequest leaves this module, in either dialect of schemas."""
    for each in (schema, from_openapi(schema)):
        try:
            check(each, "schema")
        except InvalidRequest as error:
            assert error.param is not None
            assert error.param.startswith("schema")
        else:
            if not isinstance(each, bool):
                Validator(each).fault(value)


HOSTILE = """
import json, sys, time
from core.errors import InvalidRequest
from core.schemas import Validator, check, from_openapi

def chained(links, step):
    steps = {f"a{n}": step({"$ref": f"#/$defs/a{n + 1}"}) for n in range(links)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{links}": {"type": "integer"}}}

def nest(levels, wrap, last):
    for _ in range(levels):
        last = wrap(last)
    return last

tree = {"anyOf": [{"properties": {"l": {"$ref": "#"}, "k": {"const": k}}, "required": ["k"]} for k in "abcdef"]}
unevaluated = nest(30, lambda s: {"anyOf": [{"properties": {"a": s}}, {}], "unevaluatedProperties": False}, {})
schemas = {
    "self": {"$ref": "#"},
    "pair": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "deep": nest(10_000, lambda s: {"properties": {"a": s}}, {}),
    "deep_lists": nest(10_000, lambda s: {"allOf": [s]}, {}),
    "chain": chained(10_000, lambda s: s),
    "stairs": chained(2_400, lambda s: {"properties": {"a": s}}),
    "doubling": chained(14, lambda s: {"allOf": [s, s]}),
    "doubling_below": chained(28, lambda s: {"properties": {"a": {"allOf": [s, s]}}}),
    "list": {"type": "array", "items": {"$ref": "#"}},
    "tree": tree,
    "unevaluated": unevaluated,
    "enum": {"enum": list(range(60_000))},
    "catastrophe": {"type": "string", "pattern": "^(a+)+$"},
    "looking": {"type": "string", "pattern": "^(?=a)(a+)+$"},
    "huge": {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
    "slow": {"type": "string", "pattern": "^(a?){300}a{300}$"},
    "many": {"allOf": [{"pattern": "(a|b){%d}" % (900 + n)} for n in range(100)]},
    "remote": {"$ref": "http://127.0.0.1:9/x"},
    "file": {"$ref": "file:///etc/passwd"},
}
values = [
    "a" * 30_000 + "b",
    nest(20_000, lambda v: [v], 1),
    nest(60, lambda v: [v], 1),
    nest(20_000, lambda v: {"l": v}, 1),
    nest(60, lambda v: {"l": v, "k": "f"}, {"k": "x"}),
    nest(9, lambda v: {"l": v, "k": "f"}, {"k": "x"}),
    nest(60, lambda v: {"a": v}, 1),
    list(range(20_000)),
]
for name, schema in schemas.items():
    for form in (lambda s: s, from_openapi):
        began = time.perf_counter()
        try:
            check(form(schema), "schema")
            for value in values:
                Validator(schema).fault(value)
            end = "judged"
        except InvalidRequest:
            end = "refused"
        print(name, end, f"{time.perf_counter() - began:.2f}")
"""


def test_hostile_schemas_neither_hang_nor_crash() -> None:
    """Endless, deep, doubling, enormous and slow schemas against endless and enormous values, in a process of their own
    since native code could take it down; each is done within two seconds."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ends = [line.split() for line in done.stdout.splitlines()]
    assert len(ends) == 38
    assert [end for end in ends if float(end[2]) > 2] == []
    refused = {name for name, end, _ in ends if end == "refused"}
    assert {"self", "pair", "deep", "deep_lists", "chain", "enum", "remote", "file"} <= refused
    assert {"list", "tree", "catastrophe", "doubling"}.isdisjoint(refused)


def test_a_known_schema_costs_next_to_nothing() -> None:
    """The same content is compiled once, whichever object holds it."""
    schema = {
        "type": "object",
        "properties": {f"p{n}": {"type": "string", "minLength": n} for n in range(300)},
    }
    check(schema, "schema")
    assert Validator(schema)._compiled is Validator({**schema})._compiled


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "ARRAY", "minItems": "2", "items": {"type": "INTEGER"}},
         {"type": "array", "minItems": 2, "items": {"type": "integer"}}),
        ({"type": "STRING", "format": "enum", "enum": ["A"], "nullable": True},
         {"type": ["string", "null"], "format": "enum", "enum": ["A", None]}),
        ({"any_of": [{"type": "NUMBER"}], "nullable": True}, {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        ({"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "a": {"type": "BOOLEAN"}},
          "propertyOrdering": ["a", "type"]},
         {"type": "object", "properties": {"a": {"type": "boolean"}, "type": {"type": "string"}}}),
        ({"type": "OBJECT", "additional_properties": False}, {"type": "object", "additionalProperties": False}),
        ({"type": ["STRING", "NULL"]}, {"type": ["string", "null"]}),
        ("x", "x"),
    ],
)  # fmt: skip
def test_googles_schemas_mean_the_same_as_json_schema(given: Any, meant: Any) -> None:
    """Capitals, nullable, counts as text, both spellings, the order of properties."""
    translated = from_openapi(given)
    assert translated == meant
    if isinstance(meant, dict) and "properties" in meant:
        assert list(translated["properties"]) == list(meant["properties"])


def test_threads_may_check_the_same_schemas_at_once() -> None:
    """Requests of one client come side by side; more schemas than are kept pass through, and none is taken for broken."""
    big = [{"type": "object", "description": f"{i}" + "x" * 200_000} for i in range(40)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that they do meet
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(3):
                list(
                    pool.map(
                        lambda schema: check(schema, "tools"), [schema for schema in big for _ in range(4)]
                    )
                )
    finally:
        sys.setswitchinterval(before)


def required(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "string", "enum": [5]}, ".enum"),
        ({"type": "string", "enum": []}, ".enum"),
        ({"type": "integer", "const": 1.5}, ".const"),
        (False, ""),
        (required(a=False), ".properties.a"),
        ({"type": "object", "required": ["k"], "additionalProperties": False}, ".required[0]"),
        (required(a=required(b={"type": "null", "const": 0})), ".properties.a.properties.b.const"),
        ({"type": "array", "minItems": 1, "items": False}, ".items"),
        ({"anyOf": [False, {"type": "string", "enum": [1]}]}, ".anyOf[0]"),
        ({"allOf": [{"type": "string"}], "type": "object"}, ".allOf[0].type"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, ".minLength"),
        ({"$defs": {"n": required(n={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"}, ".$ref.properties.n.$ref"),
    ],
)
def test_a_schema_that_nothing_keeps_is_refused(schema: Any, place: str) -> None:
    """With the place at fault, before any model is asked for it."""
    with pytest.raises(InvalidRequest) as caught:
        check(schema, "here")
    assert caught.value.param == f"here{place}"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": False}},
        {"type": ["object", "string"], "required": ["k"], "additionalProperties": False},
        {"required": ["k"], "additionalProperties": False},
        {"type": "object", "required": ["k"], "additionalProperties": False, "patternProperties": {"k": {}}},
        {"anyOf": [False, {"type": "string"}]},
        {"type": "array", "items": False},
        {"type": "number", "enum": [1, 2.0]},
        {"type": "integer", "enum": [5.0]},
        {"type": ["string", "null"], "enum": ["a", None]},
        required(n={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        {"not": False},
    ],
)
def test_a_schema_that_something_keeps_is_not_refused(schema: Any) -> None:
    """Parts that need not be there may be what nothing keeps."""
    check(schema, "here")


@pytest.mark.parametrize(
    "schema",
    [{"type": "array"}, {"type": ["array", "null"]}, {"anyOf": [{"type": "string"}]}, {"enum": ["a"]}],
)
def test_what_must_be_an_object_may_not_be_said_to_be_something_else(schema: Any) -> None:
    """A function's arguments; the same schema serves elsewhere."""
    check(schema, "here")
    with pytest.raises(InvalidRequest, match="object"):
        check(schema, "here", an_object=True)


def test_alternatives_of_alternatives_are_looked_at_a_bounded_time() -> None:
    """Thousands of them, each of thousands: the check gives up and the answer decides."""
    last = {"anyOf": [{"$ref": "#/$defs/no"}] * 800}
    middle = {"anyOf": [{"$ref": "#/$defs/last"}] * 800}
    root = {"anyOf": [{"$ref": "#/$defs/middle"}] * 800}
    began = time.process_time()
    check({"$defs": {"no": {"type": "string", "enum": [1]}, "last": last, "middle": middle}, **root}, "here")
    assert time.process_time() - began < 5


def test_an_anchor_is_followed() -> None:
    """Wherever in the schema it stands; one that is not there is told."""
    validator = Validator(
        {"$defs": {"a/b": {"$anchor": "name", "type": "string"}}, **required(a={"$ref": "#name"})}
    )
    assert validator.fault({"a": "x"}) is None
    assert validator.fault({"a": 5}) == 'at a: the value is not of type "string"'
    with pytest.raises(InvalidRequest, match="anchors that are in it"):
        check({"$ref": "#name", "enum": [{"$anchor": "name"}]}, "here")


@pytest.mark.parametrize(("said", "meant"), [("5", 5), ("-0.5", -0.5), ("1e3", 1000.0), ("x", "x"), (7, 7)])
def test_googles_limits_may_be_text(said: Any, meant: Any) -> None:
    """As counts may."""
    assert from_openapi({"type": "INTEGER", "minimum": said}) == {"type": "integer", "minimum": meant}


@pytest.mark.parametrize("key", ["const", "maximum", "default"])
def test_a_number_beyond_all_bounds_is_refused(key: str) -> None:
    """As one of thousands of digits arrives; nobody could be told it."""
    with pytest.raises(InvalidRequest, match="number that is too large"):
        check({"properties": {"a": {key: float("inf")}}}, "here")

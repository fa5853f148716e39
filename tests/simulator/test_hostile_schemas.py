"""Schemas that want too much: what can be given is given, in little time."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.instances import MOST_CHARACTERS, MOST_ITEMS, MOST_VALUES, instance
from simulator.keywords import LONGEST, Unsatisfiable
from simulator.words import Words

LONG = 0.2
"""Seconds of CPU, a few times what it takes: neighbours slow that down, too."""
HUGE = 10**400
MANY = 10**12
BINARY = {"type": "object", "properties": {c: {"$ref": "#"} for c in "ab"}, "required": ["a", "b"]}
DOUBLED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
CUT: list[Any] = [
    {"type": "string", "minLength": 10**9},
    {"type": "array", "minItems": MANY},
    {"type": "array", "items": {"type": "string"}, "minItems": 2**63},
    {"type": "array", "items": {"type": "array", "minItems": MANY}, "minItems": MANY},
    {"type": "array", "items": {"type": "string", "minLength": MANY}, "minItems": MANY},
    {"type": "object", "minProperties": MANY},
    {"type": "string", "pattern": "^a{1000000}$"},
    {"type": "string", "pattern": "((a{1000}){1000}){1000}"},
    {"type": "array", "minItems": MANY, "uniqueItems": True, "items": {"type": "integer"}},
    {"type": "array", "minItems": MANY, "items": {"const": "x" * 50_000}},
    {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20_000)}},
    {"type": "object", "required": [f"p{n}" for n in range(20_000)]},
    BINARY,
    {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
    {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
    {"anyOf": [{"type": "array", "items": {"$ref": "#"}, "minItems": 1}] * 50},
    {"$ref": "#/$defs/d0", "$defs": {**DOUBLED, "d60": {"type": "integer"}}},
    {"allOf": [{"properties": {f"p{n}": {"type": "string"}}} for n in range(5000)]},
    {"enum": [f"option {n}" for n in range(100_000)]},
    {"type": "array", "minItems": 200, "items": {"enum": [f"option {n}" for n in range(100_000)]}},
    {"anyOf": [{"type": "integer", "minimum": 2, "maximum": 1}] * 10_000},
]
WORDS = (
    "Ada, Bob and Cleo pay 25, 999999999999999999999999999999 and " + "9" * 400 + ".5 in fahrenheit. " * 300
)


def timed(schema: Any, words: str, *, full: bool) -> tuple[Any, float]:
    """The value, None where the schema contradicts itself, and the seconds of CPU."""
    began = time.thread_time()
    try:
        value = instance(schema, Words(words), full=full)
    except Unsatisfiable:
        value = None
    return value, time.thread_time() - began


def made(schema: Any, *, full: bool = True, words: str = WORDS) -> Any:
    """The value. Of several looks the shortest counts, since other threads and the collector are not meant."""
    looks = [timed(schema, words, full=full)]
    while looks[-1][1] >= LONG and len(looks) < 4:
        looks.append(timed(schema, words, full=full))
    assert min(took for _, took in looks) < LONG
    return looks[-1][0]


def values(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from values(item)


def check_size(value: Any, schema: Any) -> None:
    """The bounds hold, but for what the schema itself writes out."""
    own = list(values(schema))
    written = {item for item in own if isinstance(item, str)}
    items = max([MOST_ITEMS, *(len(item) for item in own if isinstance(item, list))])
    found = list(values(value))
    assert len(found) <= MOST_VALUES + MOST_CHARACTERS + len(own)
    assert all(len(v) <= LONGEST for v in found if isinstance(v, str) and v not in written)
    assert all(len(v) <= items for v in found if isinstance(v, list))
    size = len(msgspec.json.encode(value))
    assert size <= 2 * (MOST_CHARACTERS + LONGEST) + 10 * MOST_VALUES + len(msgspec.json.encode(schema))


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("schema", CUT, ids=lambda schema: str(schema)[:60])
def test_what_is_too_large_is_cut(schema: Any, full: bool) -> None:
    """A value comes all the same, soon and of bounded size."""
    check_size(made(schema, full=full), schema)


def test_it_gives_what_it_can() -> None:
    """As long as the bounds allow, of the right kind, and null below."""
    assert made(CUT[0]) == "text" + "." * (LONGEST - 4)
    assert len(made(CUT[1])) == MOST_ITEMS
    assert made(CUT[6]) == "a" * LONGEST
    depth, inner = 0, made(CUT[14])
    while isinstance(inner, dict):
        depth, inner = depth + 1, inner["next"]
    assert inner is None
    assert depth == 21


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": HUGE}, None),
        ({"type": "number", "maximum": -1e308}, -(10**308)),
        ({"type": "integer", "multipleOf": 10**400}, None),
        ({"type": "integer", "multipleOf": 0.5, "minimum": 3.2}, 4),
        ({"type": "number", "minimum": 1e308, "multipleOf": 1e-300}, 10**308),
        ({"type": "number", "minimum": 0.3, "multipleOf": 0.1, "maximum": 0.35}, 0.3),
        ({"type": "integer", "enum": [HUGE]}, HUGE),
        ({"const": [HUGE]}, [HUGE]),
        ({"type": "integer", "exclusiveMinimum": 2**53}, 2**53 + 1),
    ],
    ids=lambda value: str(value)[:60],
)
def test_numbers_of_any_size_are_reckoned_with(schema: Any, expected: Any) -> None:
    """Exactly; those that no double holds are cut."""
    value = made(schema, words="")
    assert value == expected if expected is not None else isinstance(value, int)
    msgspec.json.encode(value)


NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([10**9, 2**63, 10**12, HUGE, -HUGE, 1e308, -1e308, 1e-300, 5e-324, 0.1, -0.0]),
    st.floats(allow_nan=False),
)
PATTERNS = st.one_of(
    st.sampled_from(
        ["a{1000000}", "^(a+)+(?=x)$", "(a|aa)+$", "[[a]", "(?<=x)y", "(", "\\ud800", "a*" * 400, "(" * 300]
    ),
    st.text("ab(){}[]^$*+?|\\dwx,0123456789", max_size=30),
)
NAMES = st.sampled_from(["a", "b", "city", "expression", "name", "x" * 3000])
REFERENCES = st.sampled_from(
    ["#", "#/$defs/a", "#/properties/a", "#/nowhere", "#/\u00b2", "#/anyOf/0", "#" + "/" * 2000]
)
KINDS = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "other"])


LEAVES = st.one_of(
    NUMBERS,
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.just({"$ref": "#"}),
    st.just({"type": "string"}),
)


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any keywords, some with values that they must not have."""
    lists = st.lists(inner, max_size=4)
    objects = st.dictionaries(NAMES, inner, max_size=4)
    many = st.builds(lambda item, n: [item] * n, LEAVES, st.sampled_from([1, 30, 3000]))
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(KINDS, st.lists(KINDS, max_size=3), NUMBERS),
        "properties": st.one_of(objects, inner),
        "required": st.one_of(st.lists(NAMES, max_size=5), many, inner),
        "additionalProperties": inner,
        "minProperties": NUMBERS,
        "items": st.one_of(inner, lists),
        "prefixItems": st.one_of(lists, many),
        "contains": inner,
        "uniqueItems": st.booleans(),
        "allOf": st.one_of(lists, many),
        "anyOf": st.one_of(lists, many),
        "oneOf": st.one_of(lists, inner),
        "enum": st.one_of(lists, many),
        "const": inner,
        "$ref": REFERENCES,
        "$defs": objects,
        "pattern": st.one_of(PATTERNS, inner),
        "format": st.one_of(st.sampled_from(["date", "uuid", "odd"]), inner),
        **{
            name: st.one_of(NUMBERS, inner)
            for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
        },
        **{name: st.one_of(NUMBERS, inner) for name in ("minLength", "maxLength", "minItems", "maxItems")},
    }
    return st.sets(st.sampled_from(sorted(keywords)), max_size=6).flatmap(
        lambda names: st.fixed_dictionaries({name: keywords[name] for name in sorted(names)})
    )


@given(
    schema=st.recursive(LEAVES, around, max_leaves=10),
    words=st.text(max_size=60),
    full=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_no_schema_breaks_it(schema: Any, words: str, full: bool) -> None:
    """Whatever stands in it: a value of bounded size, or the word that there is none, within the time."""
    check_size(made(schema, full=full, words=words), schema)

"""What breaks parsers: for properties over everything that reads what others wrote."""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis
from hypothesis import strategies as st

_ATOMS = (
    "a", "0", "9", " ", "\t", "\n", "\r\n", "\\", "\\*", "`", "*", "\"", "'", ",", ";", ":", ":/", "://", "/", "..", ".", "-",
    "_", "=", "&", "&#", "&amp;", "%", "%2f", "%u", "[", "]", "{", "}", "(", ")", "<", ">", "<a ", "{\"a\":", "[[", "]]",
    "```", "```json\n", "http", "http://", "https://googleusercontent.com/", "a/", "a.", "a=", "e9", "0x", "-1", "1.", "null",
    "true", "\x00", "\x7f", "\u00e9", "\u2028", "\u212a", "\u0130", "\U0001f600", "\ud800", "&*a ", "- ", "? ", "!!int ", "!!binary ", "<<: ",
    "data:image/png;base64,", "multipart/form-data; boundary=", "bytes=", "filename*=utf-8''", "q=0.", "g.a000", "sidts-", "__Secure-",
    "Bearer ", "key=", "SID=", "v1.",
)  # fmt: skip
_COUNTS = st.sampled_from((1, 1, 1, 2, 3, 40, 300, 5000, 20_000))
LONGEST = 60_000


def examples(short: int) -> int:
    """How many examples a law is tried with: fifty times as many under `--hypothesis-profile=long`."""
    return short * 50 if hypothesis.settings.get_current_profile_name() == "long" else short


def texts(*atoms: str, surrogates: bool = False) -> st.SearchStrategy[str]:
    """A few words, some of them thousands of times: what costs a careless pattern its time, and numbers and nesting beyond
    every bound. atoms: words of the parser's own language."""
    words = st.sampled_from([atom for atom in (*atoms, *atoms, *_ATOMS) if surrogates or atom != "\ud800"])
    repeated = st.tuples(words, _COUNTS).map(lambda one: one[0] * one[1])
    free = st.text(st.characters(exclude_categories=() if surrogates else ("Cs",)), max_size=8)
    return st.lists(repeated | free, max_size=6).map(lambda parts: "".join(parts)[:LONGEST])


def octets(*atoms: bytes) -> st.SearchStrategy[bytes]:
    """The same as bytes, some of which are no text."""
    words = [*atoms, *atoms, b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80"]
    repeated = st.tuples(st.sampled_from(words), _COUNTS).map(lambda one: one[0] * one[1])
    known = texts(*(atom.decode("latin-1") for atom in atoms)).map(lambda text: text.encode())
    return st.lists(repeated | known | st.binary(max_size=8), max_size=5).map(
        lambda parts: b"".join(parts)[:LONGEST]
    )


def changed(whole: bytes) -> st.SearchStrategy[bytes]:
    """A well-formed file with a few of its bytes changed, cut out, put in or said again."""
    places = st.integers(0, len(whole))
    edit = st.tuples(places, st.integers(0, 8), st.binary(max_size=8) | st.just(whole[:64]))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = whole
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        return data

    return st.lists(edit, min_size=1, max_size=4).map(apply)


@contextmanager
def bounded(seconds: float = 2.0) -> Iterator[None]:
    """Fails where what runs inside takes more of the processor's time than that; others may be busy on the machine."""
    started = time.thread_time()
    yield
    took = time.thread_time() - started
    assert took < seconds, f"took {took:.1f} s"


_VALUES = st.sampled_from(
    (None, True, -1, 0, 2**63, 1.5, "", "x", "\ud7ff", [], ["x"], {}, {"x": 1}, [[1, "x"]])
)


def otherwise(text: str) -> st.SearchStrategy[str]:
    """What another version may have kept where this one keeps that JSON: fields more or fewer, values of other kinds, or a
    form of its own."""

    def edit(value: Any, edits: list[tuple[int, str, Any]]) -> Any:
        for place, what, given in edits:
            new = copy.deepcopy(given)  # or one that is put into itself would have no end
            holders = [(value, key) for key in _keys(value)]
            for holder, key in holders:
                holders += [(holder[key], inner) for inner in _keys(holder[key])]
            if what == "all" or not holders:
                value = new
                continue
            holder, key = holders[place % len(holders)]
            if what == "less":
                del holder[key]
            elif what == "other" or isinstance(holder, list):
                holder[key] = new
            else:
                holder["new"] = new
        return value

    edits = st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(("less", "more", "other", "other", "all")), _VALUES),
        min_size=1,
        max_size=3,
    )
    changed = edits.map(lambda edits: json.dumps(edit(json.loads(text), edits)))
    return changed | st.sampled_from(("", "\n", "{", "1:x", f"2\n{text}", f"v2 {text}", text[:-1]))


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []

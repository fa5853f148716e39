"""The web app's framing, read back by the library's own parser."""

import codecs
import random
from itertools import pairwise

import orjson
from gemini_webapi.utils.parsing import StreamingFrameParser
from hypothesis import given
from hypothesis import strategies as st

from simulator.config import Defaults, Script
from simulator.frames import XSSI, Growing, cut, embed, frame_of, utf16_units
from simulator.replies import render, say, split

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # cuts are no secrets


def parse(data: bytes, mean: int, seed: int) -> list[object]:
    """What the library makes of the bytes, fed in pieces as its stream loop feeds them."""
    parser = StreamingFrameParser()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    parts: list[object] = []
    for piece in cut(data, mean, seeded(seed)):
        parts += parser.feed(decoder.decode(bytes(piece)))
    return parts + parser.feed(decoder.decode(b"", final=True)) + parser.flush()


@given(texts=st.lists(TEXT, min_size=1, max_size=5), mean=st.integers(1, 64), seed=st.integers(0, 1000))
def test_frames_parse_the_same_wherever_they_are_cut(texts: list[str], mean: int, seed: int) -> None:
    """Cuts inside counts, escapes and UTF-8 sequences change nothing."""
    parts: list[list[object]] = [["wrb.fr", None, text] for text in texts]
    data = XSSI + b"".join(frame_of([part, ["di", 7]]) for part in parts)
    assert [p for p in parse(data, mean, seed) if p != ["di", 7]] == parts


@given(data=st.binary(max_size=5000), mean=st.integers(1, 2000), seed=st.integers(0, 1000))
def test_cutting_loses_nothing_and_repeats_itself(data: bytes, mean: int, seed: int) -> None:
    """The pieces joined are the data; the same seed cuts the same; a long enough body is cut at least twice."""
    pieces = [bytes(p) for p in cut(data, mean, seeded(seed))]
    assert b"".join(pieces) == data
    assert pieces == [bytes(p) for p in cut(data, mean, seeded(seed))]
    assert all(pieces)
    if len(data) > 3:
        assert len(pieces) > 1


@given(a=TEXT, b=TEXT)
def test_embedding_works_piece_by_piece(a: str, b: str) -> None:
    """What is embedded twice escaped can be encoded in increments, and reads back as the text."""
    assert embed(a) + embed(b) == embed(a + b)
    assert orjson.loads(orjson.loads(b'"\\"' + embed(a) + b'\\""')) == a


@given(TEXT)
def test_lengths_are_utf16_units(text: str) -> None:
    """An astral character counts two."""
    assert utf16_units(text.encode()) == sum(2 if ord(c) > 0xFFFF else 1 for c in text)


@given(parts=st.lists(TEXT, max_size=6))
def test_growing_texts_are_prefixes(parts: list[str]) -> None:
    """`upto(n)` is the first n increments and their length."""
    growing = Growing(parts)
    for n in range(len(parts) + 1):
        data, units = growing.upto(n)
        assert data == embed("".join(parts[:n]))
        assert units == utf16_units(data)


@given(text=st.text(min_size=1, max_size=200), count=st.integers(1, 50))
def test_splitting_keeps_the_text(text: str, count: int) -> None:
    """The parts joined are the text; none is empty; there are no more than asked for."""
    parts = split(text, count)
    assert "".join(parts) == text
    assert all(parts)
    assert len(parts) <= count


@given(
    prompt=TEXT.filter(bool),
    thoughts=TEXT,
    frames=st.integers(1, 12),
    temporary=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_an_answer_grows_to_its_text(
    prompt: str, thoughts: str, frames: int, temporary: bool, seed: int
) -> None:
    """Each running frame's text is a prefix of the next; only the last frame says that it is complete."""
    said = say(prompt, [], 1, Defaults(frames=frames, flicker=False), Script(thoughts=thoughts))
    context = None if temporary else "context"
    framed = render(said, ("c_1", "r_1", "rc_1"), None, context, 1_700_000_000.5)
    data = XSSI + framed.opening + b"".join(framed.content) + framed.final + framed.closing
    bodies = [
        orjson.loads(p[2])
        for p in parse(data, 17, seed)
        if isinstance(p, list) and p[0] == "wrb.fr" and isinstance(p[2], str)
    ]
    assert all(body[1] == ["c_1", "r_1"] for body in bodies)
    candidates = [body[4][0] for body in bodies if body[4]]
    texts = [c[1][0] for c in candidates]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert texts[-1] == said.text
    assert [c[8][0] for c in candidates] == [1] * (len(candidates) - 1) + [2]
    assert [body[25] for body in bodies if body[4]] == [None] * (len(candidates) - 1) + [context]
    assert bodies[-1][27][0][0][3] == [1_700_000_000, 500_000_000]
    if thoughts:
        assert candidates[-1][37][0][0] == thoughts


def test_an_open_code_block_flickers() -> None:
    """While a block is open, running frames end in a fence that is not in the text."""
    text = "Look:\n```py\nprint(1)\nprint(2)\nprint(3)\n```\nDone."
    framed = render(say("x", [], 1, Defaults(frames=6), Script(text=text)), ("c", "r", "rc"), None, None, 0.0)
    running = [orjson.loads(parse(f, 4096, 0)[0][2])[4][0][1][0] for f in framed.content]  # type: ignore[index]
    assert any(t.endswith("\n```") and not text.startswith(t) for t in running)
    assert orjson.loads(parse(framed.final, 4096, 0)[0][2])[4][0][1][0] == text  # type: ignore[index]

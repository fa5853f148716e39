"""Frames and what they say, in any pieces, in any order and of any content: an answer or a declared error, at once."""

import asyncio
import contextlib
import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pool.answer import Grown, Refused, Turn, clean, last_word, settled
from pool.frames import FrameReader, FramingError
from pool.gemini_web.reading import Reading
from tests.support.hostile import bounded, examples, octets, texts


def part(text: str, *, state: int = 1, rcid: str = "rc_1", thoughts: str = "") -> list[Any]:
    candidate: list[Any] = [rcid, [text], *[None] * 6, [state], *[None] * 28, [[thoughts]]]
    return ["wrb.fr", None, json.dumps([None, ["c_1", "r_1"], None, None, [candidate]], ensure_ascii=False)]


def frame(*parts: Any) -> bytes:
    return json.dumps(list(parts), ensure_ascii=False).encode()


def framed(*frames: bytes) -> bytes:
    bodies = [f"\n{one.decode()}\n" for one in frames]
    return b")]}'\n\n" + b"".join(f"{len(b.encode('utf-16-le')) // 2}{b}".encode() for b in bodies)


WORDS = [
    "Grüße",
    " 😀😀 ",
    "\n```py\n",
    "\\*a ",
    "&lt;",
    "\u2028",
    "http://googleusercontent.com/x/1\n",
    " end",
]
GROWING = [frame(part("".join(WORDS[: n + 1]), state=1 + (n == len(WORDS) - 1))) for n in range(len(WORDS))]
BODY = framed(frame(["di", 1]), *GROWING, frame(["e", 4]))
WHOLE = clean("".join(WORDS))


async def _read(pieces: list[bytes], *, stream: bool) -> Reading:
    reading = Reading(stream=stream)
    shown = ""
    for piece in pieces:
        reading.take(piece)
        if stream and (delta := reading.digest()) is not None:
            shown += delta.text
    rest = reading.finish()
    shown += rest.text if rest is not None else ""
    assert reading.failure is None
    assert reading.turn.complete
    if not reading.turn.rewritten:
        assert shown == WHOLE
    return reading


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_the_same_wherever_it_is_cut(stream: bool) -> None:
    """Two pieces, cut at every byte of a body with characters of one to four bytes: streamed or not, all of the text comes,
    and none of it twice."""
    for at in range(len(BODY) + 1):
        reading = await _read([BODY[:at], BODY[at:]], stream=stream)
        assert not reading.turn.rewritten
    await _read([bytes([one]) for one in BODY], stream=stream)


@settings(max_examples=examples(60))
@given(st.lists(st.integers(0, len(BODY)), max_size=20), st.booleans())
def test_any_number_of_cuts(places: list[int], stream: bool) -> None:
    """However many pieces."""
    edges = [0, *sorted(places), len(BODY)]
    asyncio.run(_read([BODY[a:b] for a, b in itertools.pairwise(edges)], stream=stream))


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from(range(len(GROWING))), min_size=1, max_size=20))
def test_frames_in_any_order(order: list[int]) -> None:
    """Frames that are lost, said twice or come late are no fault: what is shown adds up to what the last one says, unless
    text was taken back, and then that is known."""
    turn = Turn()
    shown = ""
    for n in order:
        delta = turn.feed(GROWING[n])
        shown += delta.text if delta is not None else ""
    rest = turn.rest()
    shown += rest.text if rest is not None else ""
    last = clean("".join(WORDS[: order[-1] + 1]))
    assert shown == last or turn.rewritten
    assert turn.complete is (order[-1] == len(GROWING) - 1)
    from_the_end = Turn()
    last_word([GROWING[n] for n in order], from_the_end)
    whole = from_the_end.rest()
    assert (whole.text if whole is not None else "") == last


@settings(max_examples=examples(150))
@given(st.lists(texts("\\*a", "&#9", "&#x1", "\n```", "googleusercontent.com/a/1"), max_size=3))
@example(["&#" + "9" * 5000 + ";", "&#" + "0" * 9000])
@example(["\\*a" * 20_000 + "\nfoo", "\\" * 60_000 + "x"])
def test_no_words_of_a_model_break_or_hold_up_the_reading(growing: list[str]) -> None:
    """Whatever is said, also what takes patterns and numbers beyond their bounds, is read at once, streamed or not."""
    with bounded():
        turn, grown = Turn(), Grown()
        for text in growing:
            turn.feed(frame(part(text, thoughts=text)))
            settled(text)
            grown.grow(text, final=False)
        turn.rest()
        if growing:
            assert clean(growing[-1]).encode("utf-8", "surrogatepass") is not None


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000, "[" * 50_000 + "]" * 50_000])
def test_what_is_nested_too_deeply_is_passed_over(deep: str) -> None:
    """A frame, or what a frame holds, that is nested deeper than anything is read is none; those around it are."""
    turn = Turn()
    assert turn.feed(deep.encode()) is None
    delta = turn.feed(frame(["wrb.fr", None, deep], part("good", state=2)))
    assert delta is not None
    assert delta.text == "good"


@settings(max_examples=examples(100))
@example(b'"\x80"', 1)
@given(octets(b")]}'\n", b"\n3\n", b"4\n[]\n\n", framed(b"[]"), b"999999999999\n"), st.integers(1, 5000))
def test_any_bytes_are_frames_or_a_framing_error(data: bytes, size: int) -> None:
    """Random bytes in pieces of any size: frames, or FramingError and nothing else, at once."""
    reader, turn = FrameReader(), Turn()
    with bounded(), contextlib.suppress(FramingError, Refused):
        for at in range(0, len(data), size):
            for one in reader.feed(data[at : at + size]):
                turn.feed(one)
    with contextlib.suppress(Refused):
        Turn().feed(data)


def test_a_frame_of_three_byte_characters_that_drips_is_measured_seldom() -> None:
    """A large frame in pieces of one character is not decoded anew with each."""
    reader = FrameReader()
    body = framed(frame(["\u2028" * 30_000]))
    started = time.thread_time()
    seen = [one for at in range(0, len(body), 3) for one in reader.feed(body[at : at + 3])]
    assert len(seen) == 1
    assert time.thread_time() - started < 1.0

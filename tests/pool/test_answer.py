"""Streamed text is the same as unstreamed text, and nothing that was shown is taken back."""

import contextlib
import json
from typing import Any

import pytest
from gemini_webapi.types import Candidate
from hypothesis import given
from hypothesis import strategies as st

from pool.answer import Grown, Refused, Turn, clean, last_word, settled

PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["&lt;", "&amp;", "&#39;", "&#x27;", "&quot", "&", "a&b", "\n```py\n", "\n```", "\n", "h", "ht", "http",
             "http://googleusercontent.com/image_generation_content/0\n", "https://googleusercontent.com/",
             "https://example.org/x/1", " word", "漢字", "😀", "\\\\n"]
        ),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\"), max_size=8),
    ),
    max_size=20,
)  # fmt: skip


def candidate(text: str, *, state: int | None = 1, thoughts: str = "", **slots: Any) -> list[Any]:
    row: list[Any] = [None] * 38
    row[0] = "rc_1"
    row[1] = [text]
    row[8] = None if state is None else [state]
    row[37] = [[thoughts]] if thoughts else None
    for slot, value in slots.items():
        row[int(slot[1:])] = value
    return row


def frame(candidates: list[Any] | None, *noise: Any) -> bytes:
    inner = [None, ["c_1", "r_1"], None, None, candidates]
    return json.dumps([*noise, ["wrb.fr", None, json.dumps(inner)], ["di", 12]]).encode()


@given(PIECES, st.data())
def test_deltas_add_up_to_the_whole(pieces: list[str], data: st.DataObject) -> None:
    """Wherever the frames fall, entities, fences and placeholder links included, the deltas of a
    growing text add up to the clean final text."""
    final = "".join(pieces)
    ends = sorted(data.draw(st.lists(st.integers(0, len(final)), max_size=10)))
    grown = Grown()
    shown = "".join(grown.grow(final[:end], final=False) for end in ends)
    shown += grown.grow(final, final=True)
    if not grown.rewritten:
        assert shown == clean(final)


@given(st.text(st.sampled_from("&lt;gamp#39 x\n`ahtp:/"), max_size=40), st.data())
def test_plain_growth_is_never_a_rewrite(final: str, data: st.DataObject) -> None:
    """A text that only grows is never reported as rewritten."""
    ends = sorted(data.draw(st.lists(st.integers(0, len(final)), max_size=10)))
    grown = Grown()
    for end in ends:
        grown.grow(final[:end], final=False)
    grown.grow(final, final=True)
    assert not grown.rewritten


@pytest.mark.parametrize(
    "raw",
    [
        "if a &lt; b &amp;&amp; c:",
        "plain",
        "```py\nx = &quot;y&quot;\n```",
        "&#39;&#x27;&notit;",
        "https://a.b/c?d=1&amp;e=2",
    ],
)
def test_clean_is_what_the_library_shows(raw: str) -> None:
    """`clean` gives the text that the library's own Candidate has."""
    assert clean(raw) == Candidate(rcid="x", text=raw).text


def test_a_fence_that_closes_in_every_frame_is_shown_once() -> None:
    """The web app closes an open code block in every frame; the reader sees one closing fence."""
    grown = Grown()
    frames = [
        "Code:\n```py\na = 1\n```",
        "Code:\n```py\na = 1\nb = 2\n```",
        "Code:\n```py\na = 1\nb = 2\n```\nDone.",
    ]
    shown = [grown.grow(text, final=i == 2) for i, text in enumerate(frames)]
    assert "".join(shown) == frames[-1]
    assert not grown.rewritten
    assert all("```\n```" not in "".join(shown[: n + 1]) for n in range(3))


def test_a_rewrite_goes_on_behind_the_shared_words() -> None:
    """Text that was shown and then changed is counted, and the answer goes on without a repeat."""
    grown = Grown()
    assert grown.grow("The answer is 41 and ", final=False) == "The answer is 41 and "
    assert grown.grow("An answer is 41 and more", final=True) == "more"
    assert grown.rewritten


@pytest.mark.parametrize("tail", ["&am", "&#3", "&", "\\", "\\*a", "\n```", "http", "https://googleuserc",
                                  "http://googleusercontent.com/image_generation_content/0\n", "h"])  # fmt: skip
def test_what_may_still_change_is_held_back(tail: str) -> None:
    """Half an entity, an escaped marker, a closing fence and a growing link wait for the next frame."""
    assert settled("said " + tail) == "said "


def test_thoughts_and_text_are_kept_apart() -> None:
    """Thoughts come as thoughts, text as text, in one delta per frame."""
    turn = Turn()
    first = turn.feed(frame([candidate("", thoughts="let me see")]))
    assert first is not None
    assert (first.text, first.thoughts) == ("", "let me see")
    second = turn.feed(frame([candidate("Yes.", state=2, thoughts="let me see: yes")]))
    assert second is not None
    assert (second.text, second.thoughts) == ("Yes.", ": yes")
    assert turn.complete
    assert turn.rest() is None
    assert (turn.cid, turn.rid, turn.rcid) == ("c_1", "r_1", "rc_1")


def test_the_last_frame_alone_tells_the_whole() -> None:
    """Reading from the end gives what reading every frame gives."""
    frames = [frame([candidate("a" * n)]) for n in range(1, 9)]
    frames += [frame([candidate("a &lt; b", state=2)]), frame(None), b"[]"]
    turn = Turn()
    last_word(frames, turn)
    assert turn.complete
    rest = turn.rest()
    assert rest is not None
    assert rest.text == "a < b"


def test_only_the_last_candidate_decides_completeness() -> None:
    """A frame marked as finished that is followed by one marked as running is not finished."""
    turn = Turn()
    turn.feed(frame([candidate("a", state=2)]))
    turn.feed(frame([candidate("ab", state=1)]))
    assert not turn.complete


def test_error_codes_are_raised() -> None:
    """BardErrorInfo's code and the refusal [7] are raised wherever they stand."""
    part = ["wrb.fr", None, None, None, None, [8, None, [["x", [1037]]]]]
    for read in (lambda f: Turn().feed(f), lambda f: last_word([f], Turn())):
        with pytest.raises(Refused) as error:
            read(json.dumps([["di", 1], part]).encode())
        assert error.value.code == 1037
        with pytest.raises(Refused) as error:
            read(json.dumps([["wrb.fr", None, None, None, None, [7]]]).encode())
        assert error.value.code == 7


def test_a_card_link_is_replaced_by_its_text() -> None:
    """An answer that is only a card link is read from the card."""
    turn = Turn()
    card = candidate("http://googleusercontent.com/card_content/0", state=2, s22=["the card's text"])
    delta = turn.feed(frame([card]))
    assert delta is not None
    assert delta.text == "the card's text"


@pytest.mark.parametrize("junk", [b"{", b"null", b"3", b'["wrb.fr"]', b'[["wrb.fr", null, "{"]]', b'[[null, null, "[]"]]', b'[["wrb.fr",null,"[1,2,3,4,[5]]"]]', b'[["wrb.fr",null,"[null,null,null,null,[[null]]]"]]'])  # fmt: skip
def test_junk_is_passed_over(junk: bytes) -> None:
    """A frame that makes no sense adds nothing and breaks nothing."""
    turn = Turn()
    assert turn.feed(junk) is None
    assert not turn.started


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=40,
)


@given(json_values, json_values)
def test_no_shape_escapes(outer: Any, inner: Any) -> None:
    """Whatever JSON comes, nothing but Refused escapes."""
    turn = Turn()
    for value in (outer, [["wrb.fr", None, json.dumps(inner)]], [outer, inner]):
        with contextlib.suppress(Refused):
            turn.feed(json.dumps(value).encode())
    turn.rest()


def test_pictures_count_as_content() -> None:
    """A candidate with pictures and no text has started, by position or by the sparse key."""
    row = [[[None, None, None, [None, None, "alt", "https://lh3.example/x"]], ["id", 0]]]
    for block in ([None] * 7 + [[row]], [None, {"8": [row]}]):
        turn = Turn()
        turn.feed(frame([candidate("", s12=block)]))
        assert turn.started
        assert turn.generated == 1
    turn = Turn()
    turn.feed(frame([candidate("", s12=[None] * 6 + [["progress"]])]))
    assert not turn.started
    assert turn.generated == 0
    turn.feed(frame([candidate("", s12=[None, [[["https://example.org/x"]]]])]))
    assert (turn.started, turn.generated) == (True, 0)

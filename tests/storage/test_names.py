"""Names of stored pictures."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pictures import EXTENSIONS
from storage import name_of, valid
from storage.names import keyword_of


@given(st.text(), st.sampled_from(sorted(EXTENSIONS)), st.floats(0, 4e9))
def test_every_name_is_safe_and_finds_its_picture(prompt: str, content_type: str, now: float) -> None:
    """Whatever the prompt: one path segment of bounded length, in the agreed form, with a keyword in it."""
    name = name_of(prompt, content_type, now)
    assert valid(name)
    assert len(name.encode()) < 130
    assert not set(name) & set('/\\\0\n\r"<>|?*: ')
    stamp, keyword, rest = name.split("_")
    assert re.fullmatch(r"\d{8}T\d{6}Z", stamp)
    assert keyword == keyword_of(prompt)
    assert rest.endswith("." + EXTENSIONS[content_type])


@pytest.mark.parametrize(
    ("prompt", "keyword"),
    [
        ("A red fox, in the SNOW at night!", "a-red-fox-in-the-snow"),
        ("一只红狐狸在雪地里", "一只红狐狸在雪地里"),
        ("рыжая лиса", "рыжая-лиса"),
        ("हिन्दी चित्र", "हिन्दी-चित्र"),
        ("../../etc/passwd", "etc-passwd"),
        ("🦊🦊", "picture"),
        ("", "picture"),
        ("\u202egpj.exe", "gpj-exe"),
        ("一" * 100, "一" * 20),
    ],
)
def test_keywords_in_any_language(prompt: str, keyword: str) -> None:
    """The first words in their own script; nothing that could leave a folder or turn the text around."""
    assert keyword_of(prompt) == keyword


def test_two_names_are_never_the_same() -> None:
    """The same prompt in the same second gives two names, of 128 random bits each."""
    one, other = (name_of("fox", "image/png", 0) for _ in range(2))
    assert one != other
    assert re.search(r"_[0-9a-f]{32}\.png$", one)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x.png", "a.png", "19700101T000000Z_fox_" + "0" * 32 + ".svg",
     "19700101T000000Z_../_" + "0" * 32 + ".png", "19700101T000000Z_fox_" + "0" * 32 + ".png\n"],
)  # fmt: skip
def test_other_names_are_not_ours(name: str) -> None:
    """What we have not named is not looked for."""
    assert not valid(name)

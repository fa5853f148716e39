"""Who is let in by which key."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import OFF, BadKey, Caller, Keys, NamedKey, Rate, hashed, new_key
from core.secret import Secret


def test_each_of_several_keys_is_known() -> None:
    """`API_KEY` takes several keys, separated by commas, with or without spaces."""
    keys = Keys.parse(" one, two ,three,")
    assert keys.required
    callers = [keys.identify([key]) for key in (b"one", b"two", b"three")]
    assert [caller.role for caller in callers if caller] == ["api"] * 3
    assert len({caller.name for caller in callers if caller}) == 3


@pytest.mark.parametrize("wrong", [b"", b"on", b"onee", b"ONE", b"one,two", b" one", b"\xff\xfe"])
def test_nothing_but_the_very_key_is_known(wrong: bytes) -> None:
    """A part of a key, a longer one or another case is no key."""
    assert Keys.parse("one,two").identify([wrong]) is None


def test_no_key_is_required_where_none_is_configured() -> None:
    """An empty `API_KEY` means none, and an admin key alone closes nothing to callers."""
    assert not Keys.parse("").required
    assert not Keys.parse(" , ", admin="root").required


def test_the_admin_key_is_known_as_such_and_outranks() -> None:
    """Whoever presents the admin key is the admin, also beside an API key."""
    keys = Keys.parse("one,two", admin="root")
    for presented in ([b"root"], [b"one", b"root"], [b"root", b"one"]):
        caller = keys.identify(presented)
        assert caller is not None
        assert caller.role == "admin"


def test_a_key_has_one_meaning() -> None:
    """The admin key is no API key, and a key of the file is neither of those and no other of the file, whether they
    are written plain or as digests; the message names both places and shows no key."""
    sha = hashed(Secret("one"))
    for make, names in (
        (lambda: Keys.parse("one,two", admin="one"), ("ADMIN_KEY", "API_KEY")),
        (lambda: Keys.parse("one", admin=sha), ("ADMIN_KEY", "API_KEY")),
        (lambda: Keys([Secret("one")], named=[NamedKey("alice", sha)]), ("access.keys: alice", "API_KEY")),
        (lambda: Keys(named=[NamedKey("alice", sha), NamedKey("bob", sha)]), ("access.keys: bob", "alice")),
        (
            lambda: Keys(admin=Secret("one"), named=[NamedKey("alice", sha)]),
            ("ADMIN_KEY", "access.keys: alice"),
        ),
        (
            lambda: Keys(named=[NamedKey("alice", sha), NamedKey("Alice", hashed(Secret("two")))]),
            ("Alice", "twice"),
        ),
    ):
        with pytest.raises(BadKey) as caught:
            make()
        assert all(name in str(caught.value) for name in names)
        assert sha[7:] not in str(caught.value)


def test_a_key_of_the_file_brings_its_name_and_its_terms() -> None:
    """The caller is called by the key's name and has its models and rates; a key of the file alone closes the API."""
    terms = NamedKey("alice", hashed(Secret("one")), ("gemini-*",), Rate(5, 60.0), OFF)
    keys = Keys(named=[terms])
    assert keys.required
    assert keys.identify([b"one"]) == Caller("alice", "api", ("gemini-*",), Rate(5, 60.0), OFF)


def test_new_keys_are_random_and_plain_to_write() -> None:
    """256 bits in characters that need no quoting anywhere, and the digest that goes into the file."""
    made = {new_key().reveal() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"gp-[A-Za-z0-9_-]{43}", key) for key in made)
    key = made.pop()
    assert hashed(Secret(key)) == "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize(
    ("patterns", "model", "may"),
    [
        (("*",), "anything", True),
        (("gemini-2.5-*",), "gemini-2.5-pro", True),
        (("gemini-2.5-*",), "GEMINI-2.5-PRO", True),
        (("gemini-2.5-*",), "gemini-3-pro", False),
        (("gemini-2.5-*",), "x-gemini-2.5-pro", False),
        (("a.c",), "abc", False),
        (("*-image", "pro"), "pro", True),
        (("*-image",), "flash-image", True),
        (("*-image",), "flash-image-2", False),
        (("a*a",), "a", False),
        (("a*b*c",), "abc", True),
        (("a*bc*c",), "abc", False),
        (("*a*a*a*a*a*a*a*b", "*****************b"), "a" * 100_000, False),
    ],
)
def test_patterns_say_what_may_be_asked(patterns: tuple[str, ...], model: str, may: bool) -> None:
    """`*` stands for anything, everything else for itself, in any case; and no name takes long to refuse."""
    assert Caller("alice", "api", patterns).may_ask(model) is may


def test_one_valid_key_among_others_suffices() -> None:
    """Clients send placeholders in one header and the key in another."""
    caller = Keys.parse("one").identify([b"dummy", b"one"])
    assert caller is not None


def test_a_key_may_be_configured_as_its_digest() -> None:
    """`sha256:` and 64 hex digits, in any case, stand for the key that has that digest, which itself is no key."""
    digest = hashlib.sha256(b"one").hexdigest()
    plain = Keys.parse("one")
    for written in (f"sha256:{digest}", f"SHA256:{digest}", f"Sha256:{digest.upper()}"):
        hashed = Keys.parse(written, admin=f"SHA256:{hashlib.sha256(b'root').hexdigest()}")
        assert hashed.identify([b"one"]) == plain.identify([b"one"])
        assert hashed.identify([written.encode()]) is None
        admin = hashed.identify([b"root"])
        assert admin is not None
        assert admin.role == "admin"


@pytest.mark.parametrize("broken", ["sha256:", "sha256:abc", "SHA256:abc", "sha256:" + "g" * 64])
def test_a_broken_digest_is_refused_without_showing_it(broken: str) -> None:
    """A typing error in a hashed key stops the start instead of locking everybody out."""
    with pytest.raises(BadKey, match="64 hex digits") as caught:
        Keys.parse(broken)
    assert "abc" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: not text.lower().startswith("sha256:")))
def test_a_fingerprint_tells_nothing_of_the_key(key: str) -> None:
    """The name is made of the digest alone, and is the same in every replica."""
    encodable = key.encode("utf-8", "ignore").decode()
    if encodable:
        caller = Keys([Secret(encodable)]).identify([encodable.encode()])
        assert caller is not None
        assert caller.name == "key:" + hashlib.sha256(encodable.encode()).hexdigest()[:8]

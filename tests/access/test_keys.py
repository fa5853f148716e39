"""Who is let in by which key."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import BadKey, Keys
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
    """Whoever presents the admin key is the admin, also beside an API key and where both are the same."""
    keys = Keys.parse("one,same", admin="same")
    for presented in ([b"same"], [b"one", b"same"], [b"same", b"one"]):
        caller = keys.identify(presented)
        assert caller is not None
        assert caller.role == "admin"


def test_one_valid_key_among_others_suffices() -> None:
    """Clients send placeholders in one header and the key in another."""
    caller = Keys.parse("one").identify([b"dummy", b"one"])
    assert caller is not None


def test_a_key_may_be_configured_as_its_digest() -> None:
    """`sha256:` and 64 hex digits stand for the key that has that digest."""
    digest = hashlib.sha256(b"one").hexdigest()
    hashed, plain = Keys.parse(f"sha256:{digest}"), Keys.parse("one")
    assert hashed.identify([b"one"]) == plain.identify([b"one"])
    assert hashed.identify([f"sha256:{digest}".encode()]) is None


@pytest.mark.parametrize("broken", ["sha256:", "sha256:abc", "sha256:" + "g" * 64])
def test_a_broken_digest_is_refused_without_showing_it(broken: str) -> None:
    """A typing error in a hashed key stops the start instead of locking everybody out."""
    with pytest.raises(BadKey, match="64 hex digits") as caught:
        Keys.parse(broken)
    assert "abc" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: not text.startswith("sha256:")))
def test_a_fingerprint_tells_nothing_of_the_key(key: str) -> None:
    """The name is made of the digest alone, and is the same in every replica."""
    encodable = key.encode("utf-8", "ignore").decode()
    if encodable:
        caller = Keys([Secret(encodable)]).identify([encodable.encode()])
        assert caller is not None
        assert caller.name == "key:" + hashlib.sha256(encodable.encode()).hexdigest()[:8]

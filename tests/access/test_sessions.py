"""Sessions of the page: what is believed, and what ends one."""

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from access import Ended, Sessions, hashed
from core.masking import mask
from core.secret import Secret

NOW = 1_764_000_000.0
ROOT = Secret("root-key")
SESSIONS = Sessions(ROOT, Secret("state"), life=3600.0)
TIMES = st.floats(1e6, 4e9, allow_nan=False)
LIVES = st.floats(1.0, 90 * 86400.0)
TEXTS = st.text(min_size=1, max_size=40)


@given(TIMES, LIVES, st.floats(0, 1))
def test_a_session_lasts_as_long_as_it_says_and_no_longer(now: float, life: float, part: float) -> None:
    """It is believed until the second that it names, which is within its life, and never from then on."""
    sessions = Sessions(ROOT, life=life)
    token, session = sessions.issue(now)
    assert now + life - 1 < session.expires_at <= now + life
    for moment in (now, now + part * (session.expires_at - now), session.expires_at - 0.001):
        if moment < session.expires_at:
            assert sessions.read(token.reveal(), moment) == session
    for moment in (session.expires_at, session.expires_at + 1, session.expires_at + life):
        assert sessions.read(token.reveal(), moment) is None


@given(st.data())
def test_no_character_can_be_changed(data: st.DataObject) -> None:
    """Another character anywhere, one more or one less: no session. Another spelling of the same signature is none either."""
    token = SESSIONS.issue(NOW)[0].reveal()
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_.=é\n\0"))
    assume(other != token[at])
    for changed in (token[:at] + other + token[at + 1 :], token[:at] + token[at + 1 :]):
        assert changed == token or SESSIONS.read(changed, NOW) is None
    for longer in (token + other, other + token, token[:at] + other + token[at:]):
        assert SESSIONS.read(longer, NOW) is None


@given(st.text())
@example("v1.99999999999.aaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
@example("v1.١٧٦٤٠٠٠٠٠٠.aaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
def test_nothing_that_was_not_issued_is_believed(text: str) -> None:
    """Whatever it is, reading it ends in a plain no."""
    assert SESSIONS.read(text, NOW) is None
    assert SESSIONS.read(text, 0.0) is None


@given(st.integers(1, 10**11))
def test_a_session_cannot_be_made_longer(longer: int) -> None:
    """The time is signed too."""
    token, session = SESSIONS.issue(NOW)
    version, _, rest = token.reveal().split(".", 2)
    assert SESSIONS.read(f"{version}.{int(session.expires_at) + longer}.{rest}", NOW) is None


@given(TEXTS, TEXTS, st.one_of(st.none(), TEXTS), st.one_of(st.none(), TEXTS))
def test_another_key_believes_nothing(
    admin: str, other: str, state: str | None, other_state: str | None
) -> None:
    """A changed ADMIN_KEY or GEMPOOL_STATE_KEY ends all sessions; unchanged ones keep them, in every replica."""
    assume(not any(key.lower().startswith("sha256:") for key in (admin, other)))
    token = Sessions(Secret(admin), Secret(state or "")).issue(NOW)[0].reveal()
    believed = Sessions(Secret(other), Secret(other_state or "")).read(token, NOW)
    assert (believed is not None) is ((admin, state or "") == (other, other_state or ""))


def test_replicas_with_the_key_and_with_its_digest_agree_where_they_have_a_state_key() -> None:
    """How the configuration writes the admin key down makes no difference."""
    plain, digest = (Sessions(key, Secret("state")) for key in (ROOT, Secret(hashed(ROOT).upper())))
    assert digest.read(plain.issue(NOW)[0].reveal(), NOW)
    assert plain.read(digest.issue(NOW)[0].reveal(), NOW)


def test_who_can_read_the_digest_alone_cannot_sign() -> None:
    """A configuration that holds nothing but the digest is to be safe to read: without a state key each process signs with a
    key of its own, so that such a session ends with it."""
    digest = Secret(hashed(ROOT))
    one, other = Sessions(digest), Sessions(digest)
    assert one.alone
    assert not Sessions(ROOT).alone
    assert not Sessions(digest, Secret("state")).alone
    token = one.issue(NOW)[0].reveal()
    assert one.read(token, NOW)
    assert other.read(token, NOW) is None
    assert Sessions(ROOT).read(token, NOW) is None


def test_a_session_wears_off_by_half() -> None:
    """From then on whoever uses it is given a new one."""
    _, session = SESSIONS.issue(NOW)
    assert not SESSIONS.wears_off(session, NOW + 1799)
    assert SESSIONS.wears_off(session, NOW + 1801)


def test_a_renewed_session_is_the_same_one_and_ends_with_all_its_tokens() -> None:
    """Whoever ends it by any token ends the older and the newer ones; another session stays."""
    sessions = Sessions(ROOT, Secret("state"), life=3600.0)
    old, session = sessions.issue(NOW)
    new, renewed = sessions.issue(NOW + 2000, session.id)
    other, _ = sessions.issue(NOW)
    assert renewed.id == session.id
    assert renewed.expires_at == NOW + 5600
    assert sessions.read(new.reveal(), NOW + 2000) == renewed
    until = sessions.end(session, NOW + 2001)
    assert until > renewed.expires_at
    assert sessions.read(old.reveal(), NOW + 2001) is None
    assert sessions.read(new.reveal(), NOW + 2001) is None
    assert sessions.read(other.reveal(), NOW + 2001)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 100)), max_size=30), st.floats(0, 100))
def test_what_has_ended_is_remembered_until_it_is_over(told: list[tuple[str, float]], now: float) -> None:
    """Each for as long as the longest word of it says, in whatever order they come, and no longer."""
    ended = Ended()
    for one in told:
        ended.add([one], 0.0)
    ended.add([], now)
    expected = {id for id, _ in told if max(until for other, until in told if other == id) > now}
    assert {id for id in "abcdef" if id in ended} == expected
    assert len(ended) == len(expected)


def test_who_watches_a_session_is_told_once_of_its_end() -> None:
    """Also where it came before, and nobody is told of another's or after they have left."""
    ended, told = Ended(), list[str]()
    with ended.telling("a", lambda: told.append("one")), ended.telling("a", lambda: told.append("two")):
        ended.add([("b", NOW + 1)], NOW)
        assert told == []
        ended.add([("a", NOW + 1), ("a", NOW + 2)], NOW)
        ended.add([("a", NOW + 3)], NOW)
        assert told == ["one", "two"]
    with ended.telling("a", lambda: told.append("late")):
        assert told.pop() == "late"
    ended.add([], NOW + 9)
    ended.add([("a", NOW + 20)], NOW + 9)
    assert told == ["one", "two"]


def test_tokens_are_not_alike_and_do_not_show_themselves() -> None:
    """Two sign-ins in one second differ; a token is masked in any text."""
    tokens = {SESSIONS.issue(NOW)[0].reveal() for _ in range(100)}
    assert len(tokens) == 100
    token, _ = SESSIONS.issue(NOW)
    assert token.reveal() not in repr(token)
    assert mask(f"cookie {token.reveal()} was sent") == "cookie *** was sent"


@pytest.mark.parametrize("text", ["v1.2.3", "/v1.0/models", "v1.1764000000"])
def test_what_only_begins_like_a_token_is_not_masked(text: str) -> None:
    """Versions and paths stay readable."""
    assert mask(text) == text

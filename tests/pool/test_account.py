"""What a failure does to an account, and what state an account is in: pure."""

from collections.abc import Iterator

import pytest

from core import errors
from core.secret import Secret
from pool.account import AccountConfig, Effect, Policy, effect_of

NOW = 1_000_000.0
POLICY = Policy()

EXPECTED: dict[type[errors.UpstreamError], tuple[errors.UpstreamError, Effect]] = {
    errors.SessionExpired: (errors.SessionExpired("x"), Effect("hard", "expired")),
    errors.AccountRejected: (errors.AccountRejected("x", why="guardian"), Effect("hard", "guardian")),
    errors.SessionSuspect: (errors.SessionSuspect("x"), Effect("suspect", "suspect", 30.0)),
    errors.AccountThrottled: (errors.AccountThrottled("x"), Effect("throttled", "throttled", 0.0, 1.05)),
    errors.UsageLimitReached: (
        errors.UsageLimitReached("x", resets_at=NOW + 500),
        Effect("lane", "usage_limit", 500.0),
    ),
    errors.ModelUnavailable: (errors.ModelUnavailable("x"), Effect("lane", "model_unavailable", 600.0)),
    errors.EgressBlocked: (errors.EgressBlocked("x"), Effect("egress", "ip_blocked", 300.0)),
    errors.UpstreamUnstable: (errors.UpstreamUnstable("x", kind="http_5xx"), Effect("unstable", "unstable")),
    errors.PlaceLost: (errors.PlaceLost("x"), Effect("none")),
    errors.NetworkFault: (errors.NetworkFault("x"), Effect("unstable", "network")),
}


def subclasses(kind: type[errors.UpstreamError]) -> Iterator[type[errors.UpstreamError]]:
    for child in kind.__subclasses__():
        if child.__module__ == "core.errors":
            yield child
        yield from subclasses(child)


def test_every_failure_has_a_decided_effect() -> None:
    """Each upstream error of the tree has its effect written down here; a new one fails this test."""
    assert set(subclasses(errors.UpstreamError)) == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED, ids=lambda kind: kind.__name__)
def test_effects(kind: type[errors.UpstreamError]) -> None:
    """The effect of each failure under the shipped policy."""
    error, effect = EXPECTED[kind]
    assert effect_of(error, NOW, POLICY, jitter=1.05) == effect


def test_hard_is_what_quarantines() -> None:
    """Exactly the errors that call themselves hard lead to a quarantine."""
    for error, effect in EXPECTED.values():
        assert error.hard == (effect.kind == "hard")


def test_cooldowns_are_capped() -> None:
    """A reset far away, or in the past, and a wait that the upstream asks for stay within bounds."""
    assert effect_of(errors.UsageLimitReached("x"), NOW, POLICY).seconds == 3600
    far = errors.UsageLimitReached("x", resets_at=NOW + 10**9)
    assert effect_of(far, NOW, POLICY).seconds == POLICY.lane_cap
    past = errors.UsageLimitReached("x", resets_at=NOW - 50)
    assert effect_of(past, NOW, POLICY).seconds == 1
    asked = errors.AccountThrottled("x", retry_after=10**6)
    assert effect_of(asked, NOW, POLICY).seconds == POLICY.cooldown_cap


def test_names_that_tell_nothing() -> None:
    """Egress and revision tell accounts apart and give nothing of the secrets away."""
    a = AccountConfig("a", Secret("g.a000"), proxy=Secret("http://user:pass@host:1"))
    b = AccountConfig("b", Secret("g.b000"), proxy=Secret("http://user:pass@host:1"))
    c = AccountConfig("c", Secret("g.a000"), proxy=Secret("http://other:pass@host:1"))
    assert a.egress == b.egress != c.egress
    assert a.revision == c.revision != b.revision
    assert AccountConfig("d", Secret("x")).egress == "direct"
    for text in (a.egress, a.revision, repr(a)):
        assert "pass" not in text
        assert "g.a000" not in text

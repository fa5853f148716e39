"""The table of reasons against everything that gives one."""

import re
from pathlib import Path

import pytest

from core import errors
from pool.account import Policy, effect_of
from pool.gemini_web import faults
from supervisor.incidents import BY_HAND
from supervisor.reasons import LAST_RESORT, UNREADABLE, WHY, why_of

ROOT = Path(__file__).parents[2]
COOLS = {"throttled", "egress", "unstable", "suspect"}
FAILURES: list[errors.UpstreamError] = [
    kind("x", kind="dropped") if kind is errors.UpstreamUnstable else kind("x")
    for kind in errors.UpstreamError.__subclasses__()
]


def test_every_reason_for_a_quarantine_says_what_to_do() -> None:
    """Whatever the web app says of a dead account has its own sentence, and so has a quarantine by hand."""
    reasons = {
        errors.SessionExpired.reason,
        errors.AccountRejected("x").why,
        *faults._REJECTED.values(),
        BY_HAND,
    }
    for reason in reasons:
        assert WHY["quarantined", reason]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_every_cooldown_has_a_sentence(error: errors.UpstreamError) -> None:
    """What makes an account rest says so in words."""
    effect = effect_of(error, 0.0, Policy())
    if effect.kind in COOLS:
        # Failures that are only counted make it rest as `unstable`, whatever they were.
        assert WHY["cooling", "unstable" if effect.kind == "unstable" else effect.reason]


def test_what_is_well_says_nothing() -> None:
    """An active account has no sentence, unless it is only asked last."""
    assert why_of("active", "") == ""
    assert why_of("active", "", last_resort=True) == WHY["active", LAST_RESORT]


def test_a_reason_that_nobody_knew_is_told_by_name() -> None:
    """A new word of the web app's is not swallowed."""
    assert "flagged_anew" in why_of("quarantined", "flagged_anew")
    assert "flagged_anew" in why_of("cooling", "flagged_anew")


def test_the_documents_have_the_same_table() -> None:
    """docs/states.md lists each state and reason with its sentence, and no other."""
    rows = re.findall(
        r"^\| `(\w+)` \| (?:`([^`]+)`)? ?\| (.+) \|$",
        (ROOT / "docs/states.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert {(state, reason): why for state, reason, why in rows} == dict(WHY)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_knows_every_reason(language: str) -> None:
    """It tells them in its reader's language, by the same words."""
    words = (ROOT / f"routes/admin/static/app/words/{language}.js").read_text("utf-8")
    missing = [reason for _, reason in WHY if reason and f'"reason.{reason}"' not in words]
    assert not missing
    assert UNREADABLE in {reason for _, reason in WHY}

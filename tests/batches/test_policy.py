"""What a failure of a task comes to, as laws over every error that there is."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import pool
from batches.policy import UNREACHABLE, Again, Back, Fail, pause, places, verdict
from batches.settings import BatchSettings
from core import errors
from core.errors import (
    AccountRejected,
    CallerError,
    GatewayError,
    NoAccount,
    PoolBusy,
    PromptRefused,
    ShuttingDown,
    StoreUnavailable,
    UnknownModel,
    UpstreamError,
    UpstreamFailed,
    UpstreamUnstable,
    UsageLimitReached,
)

SETTINGS = BatchSettings()
Course: TypeAlias = Literal["fail", "again", "back"]
OF_THE_TREE: dict[type[GatewayError], Course] = {
    GatewayError: "again",
    errors.CallerError: "fail",
    errors.InvalidRequest: "fail",
    errors.PromptRefused: "fail",
    errors.PreviousResponseNotFound: "fail",
    errors.Unauthenticated: "fail",
    errors.SignedOut: "fail",
    errors.Forbidden: "fail",
    errors.NotFound: "fail",
    errors.UnknownModel: "again",
    errors.UnknownBatch: "fail",
    errors.MethodNotAllowed: "fail",
    errors.RequestTimeout: "fail",
    errors.Conflict: "fail",
    errors.RequestTooLarge: "fail",
    errors.UnsupportedMedia: "fail",
    errors.AnswerUnfit: "fail",
    errors.IdempotencyKeyReused: "fail",
    errors.HeadTooLarge: "fail",
    errors.RateLimited: "fail",
    errors.TooManyBatches: "fail",
    errors.PoolBusy: "back",
    errors.UsedUp: "back",
    errors.NoAccount: "back",
    errors.StoreUnavailable: "back",
    errors.ShuttingDown: "back",
    errors.UpstreamFailed: "again",
    errors.DeadlineExceeded: "again",
    errors.InternalError: "again",
    errors.UpstreamError: "again",
    errors.SessionExpired: "again",
    errors.AccountRejected: "again",
    errors.SessionSuspect: "again",
    errors.AccountThrottled: "again",
    errors.UsageLimitReached: "again",
    errors.ModelUnavailable: "again",
    errors.EgressBlocked: "again",
    errors.UpstreamUnstable: "again",
    errors.PlaceLost: "again",
    errors.NetworkFault: "again",
    pool.AllTried: "back",
    pool.NotWell: "back",
}


def kinds(base: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def one(kind: type[GatewayError], retry_after: float | None = None) -> GatewayError:
    if issubclass(kind, UpstreamUnstable):
        error: GatewayError = kind("raw words", kind="empty")
    elif issubclass(kind, UpstreamError):
        error = kind("raw words")
    else:
        error = kind("A sentence.")
    error.retry_after = retry_after
    return error


ours = st.sampled_from(sorted(OF_THE_TREE, key=lambda kind: kind.__name__))
waits = st.one_of(st.none(), st.floats(0, 100_000))
jitters = st.floats(0, 1)


def test_every_error_is_decided() -> None:
    """A new class of error in the tree must be thought of here as well."""
    undecided = {
        kind
        for kind in kinds()
        if kind.__module__ in ("core.errors", "pool.leasing") and kind not in OF_THE_TREE
    }
    assert not undecided


def course(kind: type[GatewayError], failed: int) -> Course:
    """A run that found all accounts busy is no try, unless it had failed on some; one that failed on none but for our own
    network is none either. Where no account is left at all these were the accounts' failures."""
    if failed and issubclass(kind, PoolBusy):
        return "again"
    if not failed and issubclass(kind, UpstreamFailed):
        return "back"
    return OF_THE_TREE[kind]


@given(kind=ours, tries=st.integers(1, 5), failed=st.integers(0, 9), retry_after=waits, jitter=jitters)
def test_an_error_has_one_course(
    kind: type[GatewayError], tries: int, failed: int, retry_after: float | None, jitter: float
) -> None:
    """What the caller did fails at once, what may pass is tried again, what is nobody's fault counts as no try."""
    found = verdict(one(kind, retry_after), tries, failed, SETTINGS, jitter)
    courses: dict[type[object], Course] = {Fail: "fail", Again: "again", Back: "back"}
    assert courses[type(found)] == course(kind, failed)
    if isinstance(found, Back):
        assert found.seconds <= 5


@given(kind=ours, tries=st.integers(1, 20), more=st.integers(0, 5), failed=st.integers(0, 9), jitter=jitters)
def test_tries_end(kind: type[GatewayError], tries: int, more: int, failed: int, jitter: float) -> None:
    """With the last try whatever counts as one fails for good; what does not count goes on for ever."""
    found = verdict(one(kind), tries + more, failed, replace(SETTINGS, tries=tries), jitter)
    assert isinstance(found, Back if course(kind, failed) == "back" else Fail)


@given(tries=st.integers(1, 30), jitter=jitters, backoff=st.floats(0.001, 100))
def test_the_wait_doubles_up_to_a_bound(tries: int, jitter: float, backoff: float) -> None:
    """2, 4, 8, 16, 32 seconds as shipped, a fifth more or less, and never more than 16 times the first."""
    exact = backoff * min(2 ** (tries - 1), 16)
    assert 0.79 * exact <= pause(tries, backoff, jitter) <= 1.21 * exact
    assert [pause(n, 2.0, 0.5) for n in range(1, 7)] == pytest.approx([2, 4, 8, 16, 32, 32])


@given(
    capacity=st.integers(0, 1000),
    demand=st.integers(0, 1000),
    concurrency=st.integers(1, 1000),
    share=st.integers(1, 100),
)
def test_batches_take_what_is_left_and_one_always_may_run(
    capacity: int, demand: int, concurrency: int, share: int
) -> None:
    """Never more than configured, than their percentage, or than live requests leave with one to spare; and never nothing."""
    found = places(capacity, demand, replace(SETTINGS, concurrency=concurrency, share=share))
    assert 1 <= found <= concurrency
    assert found == 1 or (found * 100 <= capacity * share and found + demand < capacity)
    assert found == concurrency or (found + 1) * 100 > capacity * share or found + 1 + demand >= capacity


@pytest.mark.parametrize(
    ("error", "seconds", "why"),
    [
        (PoolBusy("All accounts are busy. Please try again in 3 seconds.", retry_after=1.5), 1.5, "All accounts are busy."),
        (NoAccount("No account is configured. Add accounts to the accounts file.", retry_after=30), 2,
         "No account is configured. Add accounts to the accounts file."),
        (PoolBusy("Busy.", retry_after=0.0), 0.5, "Busy."),
        (PoolBusy("All accounts are busy. Please try again in 9 seconds.", retry_after=9, reason="throttled"), 2,
         "The upstream throttles the accounts: they rest for a moment."),
        (UpstreamFailed(), 2, UNREACHABLE),
        (StoreUnavailable("The gateway cannot reach its store. Please try again in a moment."), 2,
         "The gateway cannot reach its store."),
        (ShuttingDown("The gateway is shutting down.", retry_after=5), 0, ""),
    ],
)  # fmt: skip
def test_a_batch_that_waits_says_why(error: GatewayError, seconds: float, why: str) -> None:
    """In the error's own words, but for the advice to repeat the request, and not for long: whoever is free again is soon
    asked. What this replica's stop gives back is free for the others at once."""
    assert verdict(error, 1, 0, SETTINGS, 0.5) == Back(seconds, why)


def test_accounts_that_are_being_probed_are_waited_for() -> None:
    """Whether their sessions have died, or the task makes them fail, the next run tells."""
    error = PoolBusy("All accounts are busy.", retry_after=30.0, reason="suspect")
    assert isinstance(verdict(error, 1, 2, SETTINGS, 0.5), Back)
    assert isinstance(verdict(PoolBusy("All accounts are busy."), 1, 2, SETTINGS, 0.5), Again)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PromptRefused("I cannot draw that."), "content_filter", "I cannot draw that."),
        (UnknownModel("The model 'x' is not known."), "model_not_found", "The model 'x' is not known."),
        (UpstreamFailed(), "upstream_failed", UpstreamFailed().message),
        (UsageLimitReached("raw words"), "upstream_failed", UpstreamFailed().message),
        (AccountRejected("raw words", why="guardian"), "upstream_failed", UpstreamFailed().message),
    ],
)  # fmt: skip
def test_a_failed_task_says_why(error: GatewayError, code: str, message: str) -> None:
    """With the error's code and sentence; the upstream's raw words are the log's."""
    assert verdict(error, 6, 1, SETTINGS, 0.5) == Fail(code, message)


def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    """An exception that nobody thought of is tried again, and its text stays in the log."""
    error = ValueError("secret-cookie-value")
    assert isinstance(verdict(error, 1, 1, SETTINGS, 0.5), Again)
    found = verdict(error, 6, 1, SETTINGS, 0.5)
    assert isinstance(found, Fail)
    assert found.code == "internal_error"
    assert "secret" not in found.message


def test_the_callers_errors_are_all_below_one_class() -> None:
    """`CallerError` fails at once but for a model that is not known yet."""
    callers = {kind for kind in OF_THE_TREE if issubclass(kind, CallerError)}
    assert {kind for kind in callers if OF_THE_TREE[kind] != "fail"} == {UnknownModel}

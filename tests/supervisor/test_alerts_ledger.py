"""The ledger: of all who notice the same thing exactly one tells it, and the phone ends up right."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.ledger import (
    CLAIM_SECONDS,
    Ledger,
    claim,
    delivered,
    goes_on,
    is_mine,
    renewed,
    resolve,
    wait_before,
)


def test_only_the_first_claims() -> None:
    """The second replica, and the first one asking again, have nothing to tell."""
    ledger, mine = claim(Ledger(), "expired", "one", 0)
    assert mine
    assert claim(ledger, "expired", "two", 1) == (ledger, False)
    assert claim(ledger, "expired", "one", 1) == (ledger, False)


def test_another_kind_about_the_same_subject_is_told_too() -> None:
    """An account that is rejected after it expired is news."""
    ledger, _ = claim(Ledger(), "expired", "one", 0)
    assert claim(ledger, "rejected", "two", 1)[1]


def test_too_few_is_no_news_while_there_are_none() -> None:
    """From none to one is better, not worse."""
    ledger, _ = claim(Ledger(), "pool_empty", "one", 0)
    assert not claim(ledger, "pool_below", "one", 1)[1]


def test_a_dead_tellers_alert_is_taken_over() -> None:
    """After its sign of life has run out; a renewed one holds, one that was given back does not."""
    ledger, _ = claim(Ledger(), "expired", "one", 0)
    assert claim(ledger, "expired", "two", CLAIM_SECONDS + 1)[1]
    kept = renewed(ledger, "expired", "one", 80)
    assert not claim(kept, "expired", "two", CLAIM_SECONDS + 1)[1]
    given_back = renewed(ledger, "expired", "one", 80, 0)
    assert claim(given_back, "expired", "two", 81)[1]


def test_the_end_of_a_trouble_that_nobody_was_told_of_is_not_told() -> None:
    """Expired and back before the alert went out: the phone stays quiet."""
    ledger, _ = claim(Ledger(), "expired", "one", 0)
    ledger, tell = resolve(ledger, "two", 1)
    assert not tell
    assert not is_mine(ledger, "expired", "one")


def test_a_trouble_that_ended_while_it_was_sent_is_cleared_by_the_sender() -> None:
    """Otherwise the phone would show it for ever."""
    ledger, _ = claim(Ledger(), "expired", "one", 0)
    ledger, _ = resolve(ledger, "two", 1)
    ledger, follow = delivered(ledger, "expired", "one", 2)
    assert follow == ("recovered",)
    assert is_mine(ledger, "recovered", "one")


def test_an_alert_that_an_all_clear_covers_up_is_told_again() -> None:
    """Trouble came back while the all-clear was under way."""
    ledger, _ = claim(Ledger(), "expired", "one", 0)
    ledger, _ = delivered(ledger, "expired", "one", 1)
    ledger, tell = resolve(ledger, "two", 2)
    assert tell
    ledger, mine = claim(ledger, "expired", "one", 3)
    assert not mine  # the phone shows it still
    assert not goes_on(ledger, "recovered", "two", told=False)
    ledger, follow = delivered(ledger, "recovered", "two", 4)  # it had left already
    assert follow == ("expired",)
    assert claim(ledger, "expired", "one", 5)[1]


def test_alerts_of_a_kind_are_paced() -> None:
    """The same kind waits out the interval, another kind does not; a clock that jumped costs one interval."""
    ledger, _ = claim(Ledger(), "expired", "one", 100)
    ledger, _ = delivered(ledger, "expired", "one", 100)
    assert wait_before(ledger, "expired", 130, 600) == 570
    assert wait_before(ledger, "expired", 900, 600) == 0
    assert wait_before(ledger, "rejected", 130, 600) == 0
    assert wait_before(ledger, "expired", -1e6, 600) == 600


class Phone(RuleBasedStateMachine):
    """Three replicas notice one account's troubles in any order, die, and deliver in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.now = 0.0
        self.under_way: list[tuple[str, str]] = []
        self.screen = ""
        self.sick = False

    @rule(holder=st.sampled_from("abc"))
    def falls_ill(self, holder: str) -> None:
        self.sick = True
        self.look(holder)

    @rule(holder=st.sampled_from("abc"))
    def gets_well(self, holder: str) -> None:
        self.sick = False
        self.look(holder)

    @rule(holder=st.sampled_from("abc"))
    def look(self, holder: str) -> None:
        if self.sick:
            self.ledger, mine = claim(self.ledger, "expired", holder, self.now)
            kind = "expired"
        else:
            self.ledger, mine = resolve(self.ledger, holder, self.now)
            kind = "recovered"
        if mine:
            self.under_way.append((kind, holder))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), arrives=st.booleans())
    def one_is_sent(self, data: st.DataObject, arrives: bool) -> None:
        """It asks whether it goes on, as the sender does, and may be lost all the same."""
        kind, holder = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        if arrives and goes_on(self.ledger, kind, holder, told=False):  # type: ignore[arg-type]
            self.arrive(kind, holder)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_had_left_already(self, data: st.DataObject) -> None:
        kind, holder = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.arrive(kind, holder)

    def arrive(self, kind: str, holder: str) -> None:
        self.screen = "" if kind == "recovered" else kind
        self.ledger, follow = delivered(self.ledger, kind, holder, self.now)  # type: ignore[arg-type]
        self.under_way += [(k, holder) for k in follow if k == "recovered"]

    @rule()
    def time_passes(self) -> None:
        self.now += CLAIM_SECONDS + 1

    @invariant()
    def the_ledger_knows_the_screen(self) -> None:
        assert self.ledger.shown == self.screen

    def teardown(self) -> None:
        """Whatever happened: a few looks and deliveries later the phone shows the truth."""
        for _ in range(4):
            self.now += CLAIM_SECONDS + 1
            self.look("a")
            for kind, holder in self.under_way[:]:
                self.under_way.remove((kind, holder))
                if goes_on(self.ledger, kind, holder, told=False):  # type: ignore[arg-type]
                    self.arrive(kind, holder)
        assert self.screen == ("expired" if self.sick else "")


TestPhone = Phone.TestCase
TestPhone.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_one_claim_one_alert() -> None:
    """A claim whose trouble ended does not tell the next trouble as well, which another claim of the same replica
    tells; and what somebody else has told is not told again."""
    first, _ = claim(Ledger(), "expired", "replica:1", 0.0)
    ended, _ = resolve(first, "replica:2", 1.0)
    again, mine = claim(ended, "expired", "replica:3", 2.0)
    assert mine
    assert not goes_on(again, "expired", "replica:1", told=False)
    assert goes_on(again, "expired", "replica:3", told=False)
    told, _ = delivered(again, "expired", "replica:1", 3.0)
    assert not goes_on(told, "expired", "replica:3", told=False)
    assert goes_on(told, "expired", "replica:3", told=True)

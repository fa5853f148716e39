"""The journal's entries. They hold no prompt, no answer and no secret. Times are wall clock seconds of the store's clock."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct


class Asked(Struct, frozen=True, gc=False):
    """One attempt of a request: the account, how it ended (`ok`, `cancelled`, or the failure's reason), and seconds from the lease to
    its end."""

    account: str
    outcome: str
    seconds: float


class Served(Struct, frozen=True):
    """One request of a caller, as the log line tells it. outcome: `ok`, `cancelled`, or the error's code.

    Seconds of its life: `seconds` from head to last byte, `first_content` until the first content (None without any), `queued`
    waiting for accounts, `upstream` waiting for the upstream, `pictures` working on pictures. asked: the accounts in their order.
    """

    at: float
    id: str
    replica: str
    caller: str
    route: str
    model: str
    status: int
    outcome: str
    seconds: float
    first_content: float | None = None
    queued: float = 0.0
    upstream: float = 0.0
    pictures: float = 0.0
    asked: tuple[Asked, ...] = ()


Kind: TypeAlias = Literal[
    "state",  # an account's state changed: before, after, reason
    "probe",  # an account was probed: outcome
    "rotation",  # an account's cookies were rotated: outcome
    "cookies",  # somebody handed in cookies: outcome
    "operator",  # a person changed something: what
    "alert",  # an alert was told or could not be
    "config",  # a file broke or is well again
    "leader",  # another replica looks after the accounts
    "replica",  # one came or went
]


class Happened(Struct, frozen=True):
    """Something that befell an account (`account`, '' where it concerns none). before, after: states, for `state` only.
    outcome: a word of a fixed set for its kind; detail: the rest, in a few words."""

    at: float
    kind: Kind
    account: str = ""
    before: str = ""
    after: str = ""
    outcome: str = ""
    detail: str = ""
    replica: str = ""


class Minute(Struct, frozen=True):
    """What was counted in one minute over all replicas.

    start: its first second. asked: attempts by account and outcome. served: requests by outcome. seconds: durations of well
    requests, by the upper bound of their bucket in seconds (`+Inf` for the rest); first_content: the same for first contents.
    """

    start: int
    asked: Mapping[str, Mapping[str, int]]
    served: Mapping[str, int]
    seconds: Mapping[str, int]
    first_content: Mapping[str, int]


class Facts(Struct, frozen=True):
    """What a replica tells of itself. alerts_pending: alerts that it still has to tell. broken_files: files that it cannot read, by
    path, with what is wrong."""

    alerts_pending: int = 0
    broken_files: Mapping[str, str] = {}


Noting: TypeAlias = Callable[[Happened], None]
"""Takes an entry at once, and never raises."""


def into_nothing(entry: Happened) -> None:
    """Where nobody keeps a journal."""

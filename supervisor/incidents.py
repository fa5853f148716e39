"""What is worth an alert, decided from what changed. All pure.

An incident stands from the moment something broke until a `recovered` about the same subject.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from pool import StateChange

Kind: TypeAlias = Literal[
    "expired", "rejected", "ip_blocked", "pool_below", "pool_empty", "config_broken", "recovered"
]
Level: TypeAlias = Literal["well", "between", "below", "empty"]

POOL = "pool"
BY_HAND = "by hand"
_HOPEFUL = ("active", "cooling", "starting")


class Incident(Struct, frozen=True):
    """Something that the operator should know.

    It is about an account (its id), a way out (`AccountConfig.egress`), a file (its path) or, where none of
    these is given, the pool. `recovered` ends whatever stands about the same. detail: the reason in a few
    words, without secrets. well, total: accounts, where it is about the pool.
    """

    kind: Kind
    account: str = ""
    egress: str = ""
    file: str = ""
    detail: str = ""
    well: int = 0
    total: int = 0

    @property
    def subject(self) -> str:
        """What it is about, in one word; the same in all replicas."""
        for what in ("account", "egress", "file"):
            if name := getattr(self, what):
                return f"{what}:{name}"
        return POOL


def incidents_of(
    change: StateChange,
    counts_before: Mapping[str, int],
    counts_after: Mapping[str, int],
    pool_below: int = 1,
    egress: str = "",
) -> list[Incident]:
    """What one change of state means. Counts are accounts by state over all replicas; empty ones, as a
    replica has them before it has heard from the store, say nothing about the pool. egress: the account's."""
    found = account_incidents(change.account, change.state, change.reason, egress)
    if change.before in (None, "active", "cooling"):
        # It was well before, too, or is only learnt of: each would ask the store whether something stands.
        found = [incident for incident in found if incident.kind != "recovered"]
    if change.state in ("disabled", "draining"):
        # Set aside on purpose: whatever was wrong with it is nobody's concern any more.
        found = [Incident("recovered", account=change.account, detail=str(change.state))]
    elif change.before == "cooling" and change.state == "active" and egress:
        found.append(Incident("recovered", egress=egress))
    if counts_after and pool_level(counts_before, pool_below) != pool_level(counts_after, pool_below):
        found += pool_incidents(counts_after, pool_below)
    return found


def account_incidents(account: str, state: str, reason: str = "", egress: str = "") -> list[Incident]:
    """What an account's state says by itself; for a look at all accounts, whatever changed before."""
    if state == "quarantined":
        if reason == BY_HAND:
            return []
        if reason == "expired":
            return [Incident("expired", account=account)]
        return [Incident("rejected", account=account, detail=reason)]
    if state == "cooling" and reason == "ip_blocked":
        return [Incident("ip_blocked", egress=egress or "direct")]
    if state in ("active", "cooling"):
        return [Incident("recovered", account=account)]
    return []


def pool_incidents(
    counts: Mapping[str, int], pool_below: int, starting_is_well: bool = True
) -> list[Incident]:
    """What the number of accounts says by itself: an alert, an all-clear, or (in between) nothing."""
    level = pool_level(counts, pool_below, starting_is_well)
    well, total = _well(counts, starting_is_well), _total(counts)
    match level:
        case "well":
            return [Incident("recovered", well=well, total=total)]
        case "below":
            return [Incident("pool_below", well=well, total=total)]
        case "empty":
            return [Incident("pool_empty", well=well, total=total)]
        case _:
            return []


def pool_level(counts: Mapping[str, int], pool_below: int, starting_is_well: bool = True) -> Level:
    """How the pool stands. Disabled accounts count nowhere; one that cools is well, since it comes back by
    itself; so is one that starts, unless the caller says that this has taken too long.

    Where several must be well, the all-clear needs one more than that (or all): no alert each time the
    last one comes and goes.
    """
    total, well = _total(counts), _well(counts, starting_is_well)
    needed = min(pool_below, total)
    if total == 0:
        return "well"
    if well == 0:
        return "empty"
    if well < needed:
        return "below"
    return "well" if well >= min(total, needed + 1 if needed > 1 else 1) else "between"


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in (*_HOPEFUL, "quarantined"))


def _well(counts: Mapping[str, int], starting_is_well: bool) -> int:
    states = _HOPEFUL if starting_is_well else _HOPEFUL[:2]
    return sum(counts.get(state, 0) for state in states)

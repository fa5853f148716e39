"""The accounts and who serves next: roster, leases, health, and the sessions behind them."""

from pool.account import AccountConfig, Policy, State
from pool.cookies import CookieSource
from pool.leasing import Lease
from pool.member import Finding
from pool.models import DEFAULT_LANE, PublicModel
from pool.pool import AccountView, Pool, PoolStatus
from pool.pulse import StateChange
from pool.roster import Roster, RosterDiff, RosterError, diff, load_roster
from pool.settings import PoolSettings
from pool.shared import Shared
from pool.store import Change, Changes, Event, Store
from pool.waiting import AllTried, NotWell

__all__ = [
    "DEFAULT_LANE",
    "AccountConfig",
    "AccountView",
    "AllTried",
    "Change",
    "Changes",
    "CookieSource",
    "Event",
    "Finding",
    "Lease",
    "NotWell",
    "Policy",
    "Pool",
    "PoolSettings",
    "PoolStatus",
    "PublicModel",
    "Roster",
    "RosterDiff",
    "RosterError",
    "Shared",
    "State",
    "StateChange",
    "Store",
    "diff",
    "load_roster",
]

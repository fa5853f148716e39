"""An account: its configuration, its states, and what a failure does to it. All pure.

The words here are the ones that the store, the metrics and the admin page use.
"""

import hashlib
from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from core import errors
from core.secret import Secret


class AccountConfig(Struct, frozen=True):
    """One entry of the accounts file. `min_interval` is in seconds, `models` an allow-list of patterns."""

    id: str
    secure_1psid: Secret
    secure_1psidts: Secret = Secret("")
    proxy: Secret | None = None
    enabled: bool = True
    max_concurrency: int = 2
    min_interval: float = 0.0
    models: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()

    @property
    def egress(self) -> str:
        """A name for the way out that tells nothing of the proxy's URL: accounts that share it share it."""
        if self.proxy is None:
            return "direct"
        return "proxy-" + hashlib.sha256(self.proxy.reveal().encode()).hexdigest()[:12]

    @property
    def revision(self) -> str:
        """Changes with the cookies, and with nothing else. A digest: safe to store and to show."""
        both = f"{self.secure_1psid.reveal()}\n{self.secure_1psidts.reveal()}"
        return hashlib.sha256(both.encode()).hexdigest()[:16]


class State(StrEnum):
    """starting: no session was ever opened. cooling: not asked until a time. quarantined: not asked until a
    probe has proved it well. disabled: by configuration or by hand. draining: removed, last calls running."""

    STARTING = "starting"
    ACTIVE = "active"
    COOLING = "cooling"
    QUARANTINED = "quarantined"
    DISABLED = "disabled"
    DRAINING = "draining"


class Cooldown(Struct, frozen=True):
    """`until` is in seconds of the store's clock."""

    until: float
    reason: str


class Record(Struct, frozen=True):
    """An account as the store knows it. Times are seconds of the store's clock, 0.0 for never.

    last_resort: failing, but not ejected because too many others are: asked when nothing else is left.
    """

    id: str
    revision: str
    max_concurrency: int
    min_interval: float
    egress: str
    lanes: tuple[str, ...]
    in_flight: int
    last_used: float
    use_order: int
    enabled: bool
    disabled_by_hand: bool
    removed: bool
    opened: bool
    quarantine: str
    quarantined_at: float
    cooldown: Cooldown | None
    lane_cooldowns: dict[str, Cooldown]
    consecutive_failures: int
    times_ejected: int
    throttle_level: int
    half_open: bool
    last_resort: bool
    changed_at: float
    offered_json: str
    proved_at: float = 0.0
    """When traffic, a probe or a fresh session last proved the account well."""
    probed_at: float = 0.0
    probe_outcome: str = ""
    probe_failures: int = 0
    """Probes that did not end the account's quarantine."""
    cookies_at: float = 0.0
    """When the cookies in use were rotated last, or first seen."""
    rotation_tried_at: float = 0.0
    rotation_outcome: str = ""
    rotation_failures: int = 0


def state_of(record: Record, now: float) -> tuple[State, str]:
    """The state and its reason ('' where there is none) at `now`, seconds of the store's clock.

    `lua/common.lua` has the same rule for what it files and logs; a test holds the two together.
    """
    if record.removed:
        return State.DRAINING, "removed"
    if record.disabled_by_hand:
        return State.DISABLED, "by hand"
    if not record.enabled:
        return State.DISABLED, "by configuration"
    if record.quarantine:
        return State.QUARANTINED, record.quarantine
    if not record.opened:
        return State.STARTING, ""
    if record.cooldown is not None and record.cooldown.until > now:
        return State.COOLING, record.cooldown.reason
    return State.ACTIVE, ""


class Policy(Struct, frozen=True):
    """How long what cools. All in seconds.

    A 429 cools an account for throttle_base times 2, 4, 8, 16 at most; `cooldown_cap` bounds a wait that
    the upstream asks for. `lane_cap` bounds the cooldown of one model, whatever reset time was told.
    """

    throttle_base: float = 2.0
    cooldown_cap: float = 3600.0
    usage_limit: float = 3600.0
    lane_cap: float = 86400.0
    model_unavailable: float = 600.0
    egress_blocked: float = 300.0
    eject_after: int = 5
    eject_base: float = 30.0
    eject_cap: float = 300.0
    suspect_park: float = 30.0


EffectKind: TypeAlias = Literal["none", "ok", "throttled", "lane", "egress", "unstable", "suspect", "hard"]


class Effect(Struct, frozen=True, gc=False):
    """What the store does with an outcome. `seconds` is the cooldown, or for `throttled` the least one."""

    kind: EffectKind
    reason: str = ""
    seconds: float = 0.0
    jitter: float = 1.0


OK = Effect("ok")
NO_EFFECT = Effect("none")


def effect_of(error: errors.UpstreamError, now: float, policy: Policy, jitter: float = 1.0) -> Effect:
    """The effect of one failed attempt. `now` is wall clock seconds, `jitter` a factor near 1."""
    match error:
        case errors.SessionExpired():
            return Effect("hard", error.reason)
        case errors.AccountRejected():
            return Effect("hard", error.why)
        case errors.SessionSuspect():
            return Effect("suspect", error.reason, policy.suspect_park)
        case errors.AccountThrottled():
            least = min(policy.cooldown_cap, error.retry_after or 0.0)
            return Effect("throttled", error.reason, least, jitter)
        case errors.UsageLimitReached():
            wait = policy.usage_limit if error.resets_at is None else max(1.0, error.resets_at - now)
            return Effect("lane", error.reason, min(policy.lane_cap, wait))
        case errors.ModelUnavailable():
            return Effect("lane", error.reason, min(policy.lane_cap, policy.model_unavailable))
        case errors.PlaceLost():
            return NO_EFFECT
        case errors.EgressBlocked():
            return Effect("egress", error.reason, min(policy.cooldown_cap, policy.egress_blocked))
        case _:
            # A network fault of ours is counted, too, though it never quarantines: a way out that is dead
            # must not hold up every request in turn.
            return Effect("unstable", error.reason)

"""Who may call, and how much: API keys, the page's sessions, callers' addresses and limits."""

from access.addresses import Proxies, address_of, entries, site
from access.keys import BadKey, Caller, Keys, NamedKey, hashed, is_digest, new_key
from access.limits import Limits, Scope, Standing
from access.rates import OFF, Rate
from access.sessions import Ended, Session, Sessions
from access.signouts import SignOuts
from access.tries import Tries

__all__ = [
    "OFF",
    "BadKey",
    "Caller",
    "Ended",
    "Keys",
    "Limits",
    "NamedKey",
    "Proxies",
    "Rate",
    "Scope",
    "Session",
    "Sessions",
    "SignOuts",
    "Standing",
    "Tries",
    "address_of",
    "entries",
    "hashed",
    "is_digest",
    "new_key",
    "site",
]

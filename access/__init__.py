"""Who may call, and how much: API keys, callers' addresses and limits."""

from access.addresses import Proxies, address_of, entries, site
from access.keys import BadKey, Caller, Keys, NamedKey, hashed, is_digest, new_key
from access.limits import Limits, Scope, Standing
from access.rates import OFF, Rate

__all__ = [
    "OFF",
    "BadKey",
    "Caller",
    "Keys",
    "Limits",
    "NamedKey",
    "Proxies",
    "Rate",
    "Scope",
    "Standing",
    "address_of",
    "entries",
    "hashed",
    "is_digest",
    "new_key",
    "site",
]

"""Who may call: API keys (and, later, their limits)."""

from access.keys import BadKey, Caller, Keys

__all__ = ["BadKey", "Caller", "Keys"]

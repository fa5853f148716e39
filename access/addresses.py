"""Where a caller is, as far as it can be believed. Pure."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SITE = 64
"""Bits of an IPv6 address that name a site: whoever has one address there has all of them."""
_WITH_PORT = re.compile(r"(?:(?P<v4>\d+\.\d+\.\d+\.\d+)|\[(?P<v6>[0-9a-fA-F:.]+)\])(?::\d{1,5})?", re.ASCII)


class Proxies:
    """The proxies that are believed, as networks and single addresses. Raises ValueError for what is neither."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in networks)

    def trusts(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)

    def origin(self, peer: str, forwarded: Sequence[str]) -> str:
        """The caller's address: the peer's, or where that is a trusted proxy's what it says of whom it serves.

        forwarded: the values of X-Forwarded-For in the order of their lines. Each proxy adds on the right, so the
        rightmost address that is no trusted proxy's is the caller; what stands to its left anybody can write. An entry
        that is no address is not believed: then the proxy that passed it on is the caller.
        """
        found = address_of(peer)
        if found is None:
            return peer
        for entry in reversed(entries(forwarded)):
            if not self.trusts(found):
                break
            further = address_of(entry)
            if further is None:
                break
            found = further
        return str(found)


def entries(lines: Iterable[str]) -> list[str]:
    """The elements of a header that is a list, over all its lines. Empty ones are none (RFC 9110, 5.6.1)."""
    return [entry for line in lines for entry in line.split(",") if entry.strip()]


def address_of(text: str) -> Address | None:
    """The address in an entry of X-Forwarded-For, perhaps with a port; an IPv4 address in IPv6 clothes as what it is."""
    bare = text.strip()
    if found := _WITH_PORT.fullmatch(bare):
        bare = found["v4"] or found["v6"]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            address = ipaddress.IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address


def site(address: str) -> str:
    """What callers are counted by: an IPv4 address, or the /64 that an IPv6 address belongs to."""
    found = address_of(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found), _SITE), strict=False))
    return str(found) if found is not None else address

"""Which addresses a caller may have us connect to. Pure."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks: TypeAlias = tuple[Network, ...]

# IANA's special-purpose registries, and what stands in them only in part. Written out, since what the
# standard library calls global has changed between patch releases.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's machines reach their host here
    )
)  # fmt: skip
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def networks(texts: Iterable[str]) -> Networks:
    """Networks from `10.1.0.0/16` and single addresses. Raises ValueError, naming the text that is neither."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip()))
        except ValueError:
            raise ValueError(
                f"'{text}' is no network. Write an address, or a network such as 10.1.0.0/16 whose host bits are 0."
            ) from None
    return tuple(found)


def is_open(address: Address, allow: Networks = ()) -> bool:
    """Whether a connection to the address may be made: it is on the public internet, or the operator allows it.

    An IPv6 address that stands for an IPv4 one is closed; where the operator allows it, both must be open.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return False
    inner = _inner(address)
    if any(address.version == network.version and address in network for network in allow):
        return inner is None or is_open(inner, allow)
    return inner is None and _is_public(address)


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to this one end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def literal(host: str) -> Address | None:
    """The address that a URL's host is, None for a name. Raises ValueError for forms that only some programs
    take for an address (`2130706433`, `0x7f.1`, `127.1`, `0177.0.0.1`)."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    last = bare.rstrip(".").rpartition(".")[2].lower()
    digits = last.removeprefix("0x")
    numeric = last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in digits))
    if ":" in bare or numeric:
        raise ValueError("it is neither a name nor an address in its usual form")
    return None

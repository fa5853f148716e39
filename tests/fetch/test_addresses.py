"""Which addresses may be connected to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch import is_open, networks
from fetch.addresses import literal

EMBEDDINGS = ("::ffff:0:0", "2002::", "64:ff9b::", "2001:0:1::")


def embedded(prefix: str, inner: ipaddress.IPv4Address) -> ipaddress.IPv6Address:
    """The IPv6 address that stands for `inner` after the manner of the prefix."""
    shift, value = (80, int(inner)) if prefix == "2002::" else (0, int(inner))
    if prefix.startswith("2001:"):
        value ^= 0xFFFFFFFF  # Teredo writes it inverted
    return ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | value << shift)


@given(st.ip_addresses())
def test_what_is_open_is_on_the_public_internet(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Nothing is open that the standard library knows to be anything but global unicast."""
    if is_open(address):
        assert address.is_global
        assert not any(
            getattr(address, f"is_{kind}")
            for kind in ("multicast", "reserved", "unspecified", "private", "loopback", "link_local")
        )


@given(st.ip_addresses(v=4), st.sampled_from(EMBEDDINGS))
def test_no_other_form_of_an_ipv4_address_is_open(inner: ipaddress.IPv4Address, prefix: str) -> None:
    """Mapped, 6to4, NAT64 and Teredo: a public address has a plain form, and another one only hides it."""
    assert not is_open(embedded(prefix, inner))


@given(st.ip_addresses(v=4), st.sampled_from(EMBEDDINGS))
def test_allowing_a_tunnel_opens_no_private_address(inner: ipaddress.IPv4Address, prefix: str) -> None:
    """An operator whose network reaches the IPv4 world through NAT64 may open it: for public addresses alone."""
    allow = networks(["::/0"])
    assert is_open(embedded(prefix, inner), allow) is is_open(inner)


@given(st.ip_addresses())
def test_an_allowed_network_is_open_and_nothing_else_changes(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """`10.0.0.0/8` opens that network alone."""
    allow = networks(["10.0.0.0/8"])
    inside = address.version == 4 and address in allow[0]
    assert is_open(address, allow) is (inside or is_open(address))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "0.0.0.0",
        "0.1.2.3", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
        "2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::1", "fe80::1%eth0",
        "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
        "4000::1", "2606:4700::1%eth0",
    ],
)  # fmt: skip
def test_addresses_that_are_closed(text: str) -> None:
    """Private, loopback, link-local, carrier, metadata, documentation, multicast, reserved and tunnelled ones."""
    assert not is_open(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::8"])
def test_public_addresses_are_open(text: str) -> None:
    """What anybody may reach, we may reach for them."""
    assert is_open(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0",
        "1.2.3.4.5", "256.1.1.1", "0x", "a.0x7f", "1.2.3.08",
    ],
)  # fmt: skip
def test_odd_spellings_of_addresses_are_refused(host: str) -> None:
    """Some programs take them for addresses and some for names, so nobody may rely on them."""
    with pytest.raises(ValueError, match="usual form"):
        literal(host)


@given(st.ip_addresses())
def test_a_plain_address_is_read_as_itself(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """With or without an IPv6 address' brackets."""
    assert literal(str(address)) == address
    assert literal(f"[{address}]") == address


@pytest.mark.parametrize(
    "host", ["example.com", "example.com.", "a.b1", "xn--bcher-kva.example", "localhost"]
)
def test_names_are_left_to_the_resolver(host: str) -> None:
    """What does not end in a number is a name."""
    assert literal(host) is None


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "intranet", "10.0.0.0/33"])
def test_a_network_that_is_none_is_named(text: str) -> None:
    """The operator reads what to write instead."""
    with pytest.raises(ValueError, match=r"is no network\. Write an address"):
        networks(["127.0.0.1", text])

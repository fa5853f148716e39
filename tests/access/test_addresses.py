"""Whose address is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access import Proxies, address_of, site

NEAR = Proxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.7"], "203.0.113.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7,10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["1.1.1.1, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, unknown, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["1.1.1.1, _hidden"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1,"], "1.1.1.1"),
        ("10.0.0.1", [", , 1.1.1.1 ,", " "], "1.1.1.1"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, garbage,"], "10.0.0.1"),
        ("10.0.0.1", ["010.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["2130706433"], "10.0.0.1"),
        ("unknown", ["198.51.100.7"], "unknown"),
    ],
)
def test_the_rightmost_address_that_is_no_proxys_is_the_callers(
    peer: str, forwarded: list[str], caller: str
) -> None:
    """What stands to the left of it is hearsay, and an entry that is no address ends the chain."""
    assert NEAR.origin(peer, forwarded) == caller


@given(st.lists(st.text(), max_size=4))
def test_without_trusted_proxies_no_header_counts(forwarded: list[str]) -> None:
    """Whatever is sent, the peer is the caller."""
    assert Proxies().origin("203.0.113.1", forwarded) == "203.0.113.1"


@given(st.text(), st.text())
def test_what_a_stranger_writes_on_the_left_changes_nothing(left: str, more: str) -> None:
    """A proxy adds on the right: any header that came in before it leaves the caller who he is."""
    assert NEAR.origin("10.0.0.1", [left, f"{more}, 198.51.100.7"]) == "198.51.100.7"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_site_is_one_caller(address: str, name: str) -> None:
    """An IPv6 host changes its address at will within its /64."""
    assert site(address) == name


@given(st.ip_addresses())
def test_every_address_is_read_as_itself(address: object) -> None:
    """As it is written by programs, with spaces and in IPv6 clothes."""
    found = address_of(f" {address} ")
    assert found is not None
    assert str(getattr(address, "ipv4_mapped", None) or address) == str(found)

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model.errors import PolicyError
from securecc.policy.network import Network, covers, parse_address, parse_range, plain_address, range_of


def test_a_mapped_address_is_the_ipv4_one() -> None:
    assert parse_address("::ffff:10.2.3.4") == ip_address("10.2.3.4")
    assert range_of(ip_address("::ffff:10.2.3.4"), [parse_range("10.0.0.0/8")])
    assert range_of(ip_address("10.2.3.4"), [parse_range("::ffff:10.0.0.0/104")])


def test_an_interface_is_left_out() -> None:
    assert parse_address("fe80::1%eth0") == ip_address("fe80::1")
    assert range_of(ip_address("fe80::1%eth0"), [parse_range("fe80::/10")])


@pytest.mark.parametrize("text", ["", "10.2.3", "10.2.3.4/8", "010.2.3.4", "office", "10.2.3.4 ", "1\n", "9" * 5000])
def test_no_address(text: str) -> None:
    with pytest.raises(PolicyError, match="is not an IP address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [("10.0.0.1/8", "did you mean 10.0.0.0/8"), ("office", "write it as"), ("10.0.0.0/33", "write it as")],
)
def test_no_network(text: str, advice: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_range(text)
    assert advice in caught.value.advice


def test_deny_wins() -> None:
    network = Network(allow=(parse_range("10.0.0.0/8"),), deny=(parse_range("10.0.0.0/8"),))
    assert not network.admits(ip_address("10.1.1.1"))


def test_without_a_list_everybody_may_connect() -> None:
    assert Network().admits(ip_address("2001:db8::1"))
    assert Network().admits(ip_address("::ffff:10.2.3.4"))


def test_covers() -> None:
    assert covers([parse_range("10.0.0.0/8")], parse_range("10.1.0.0/16"))
    assert not covers([parse_range("10.1.0.0/16")], parse_range("10.0.0.0/8"))
    assert not covers([parse_range("::/0")], parse_range("10.0.0.0/8"))


@given(st.ip_addresses())
def test_plain_is_final(address: Any) -> None:
    plain = plain_address(address)
    assert plain_address(plain) == plain
    assert Network().admits(address)


@pytest.mark.parametrize(
    ("address", "believed"),
    [("10.0.0.2", True), ("::ffff:10.0.0.2", True), ("2001:db8::7", True), ("10.0.0.3", False), ("10.9.0.2", False)],
)
def test_whose_word_is_taken_for_whom_it_connects(address: str, believed: bool) -> None:
    proxies = tuple(map(parse_range, ("10.0.0.2", "2001:db8::/64", "10.9.0.2")))
    network = Network(allow=(parse_range("10.1.0.0/16"),), deny=(parse_range("10.9.0.0/16"),), proxies=proxies)
    assert network.believes(parse_address(address)) is believed

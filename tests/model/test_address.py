from typing import Any

import pytest

from securecc.model.address import address, host_of, source_of


@pytest.mark.parametrize(
    ("host", "written"),
    [("192.0.2.1", "192.0.2.1:7"), ("2001:db8::1", "[2001:db8::1]:7"), ("farm1.example.com", "farm1.example.com:7")],
)
def test_the_port_can_be_told_from_the_address(host: Any, written: Any) -> None:
    assert address(host, 7) == written


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "farm1.example.com"])
def test_the_host_is_found_again(host: Any) -> None:
    assert host_of(address(host, 65535)) == host


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1:2", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_one_source(written: Any, source: Any) -> None:
    assert source_of(written) == source


def test_what_is_no_address_is_no_source() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        source_of("farm1")

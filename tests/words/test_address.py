import pytest

from securecc.words.address import address


@pytest.mark.parametrize(
    ("host", "written"),
    [("192.0.2.1", "192.0.2.1:7"), ("2001:db8::1", "[2001:db8::1]:7"), ("farm1.example.com", "farm1.example.com:7")],
)
def test_the_port_can_be_told_from_the_address(host, written):
    assert address(host, 7) == written

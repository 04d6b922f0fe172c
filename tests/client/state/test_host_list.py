"""securecc.client.state.host_list: what distcc's users write means the same here."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.state.host_list import Host, parse_host, parse_hosts
from securecc.model.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("farm1", Host("farm1")),
        ("farm1/8", Host("farm1", slots=8)),
        ("farm1:4000", Host("farm1", 4000)),
        ("farm1.example.com:4000/16,lzo", Host("farm1.example.com", 4000, 16)),
        ("10.1.2.3/2,cpp,lzo", Host("10.1.2.3", slots=2)),
        ("[2001:db8::1]", Host("2001:db8::1")),
        ("[2001:db8::1]:4000/3", Host("2001:db8::1", 4000, 3)),
        ("[fe80::1%eth0]/3", Host("fe80::1%eth0", slots=3)),
        ("farm1,auth=securecc/vip.example.com", Host("farm1", principal="securecc/vip.example.com")),
        ("farm1,auth", Host("farm1")),
        ("localhost:4000/2", Host("localhost", 4000, 2)),
        ("localhost", 0),
        ("localhost/3", 3),
    ],
)
def test_hosts_as_distcc_writes_them(word: Any, host: Any) -> None:
    assert parse_host(word) == host


@pytest.mark.parametrize(
    "word",
    ["farm:", "farm:x", "farm:0", "farm:65536", "farm/0", "farm/", "farm/x", "farm/5000", "farm,zip", "farm,auth=",
     "/4", ":3643", "[::1", "[::1]x", "[]", "-farm", "a b", "2001:db8::1", "farm/²", "@farm", "farm:1:2", "fä"],
)  # fmt: skip
def test_what_is_no_host_is_named(word: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_host(word)
    assert caught.value.advice


def test_a_host_list() -> None:
    hosts, local, troubles = parse_hosts("--randomize localhost/2 farm1/4 # the old one\nfarm2 farm1/9 bad/x\n#farm3\n")
    assert hosts == (Host("farm1", slots=4), Host("farm2"))
    assert local == 2
    assert len(troubles) == 1
    assert "bad/x" in troubles[0]


def test_a_host_as_text() -> None:
    assert [str(Host("farm1")), str(Host("farm1", 4000))] == ["farm1", "farm1:4000"]
    assert [str(Host("::1")), str(Host("2001:db8::1", 4000))] == ["[::1]", "[2001:db8::1]:4000"]


@settings(max_examples=150)
@given(st.text(max_size=60))
def test_any_word_is_a_host_or_a_config_error(word: Any) -> None:
    try:
        host = parse_host(word)
    except ConfigError:
        return
    if isinstance(host, Host):
        principal = f",auth={host.principal}" if host.principal else ""
        limit = f"/{host.slots}" if host.slots else ""
        assert parse_host(f"{host}{limit}{principal}") == host

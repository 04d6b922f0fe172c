import pytest

from securecc.channel.connection_gate import ConnectionLimits, Penalties
from securecc.config_file.section import read_section
from securecc.config_file.yaml_nodes import compose
from securecc.daemon.limits_section import ServerLimits, ServerLimitsSection, server_limits
from securecc.model.errors import PolicyError


def read(text: str) -> ServerLimits | None:
    return server_limits(read_section(compose(text.encode(), "config.yaml"), ServerLimitsSection))


def test_all_of_them() -> None:
    found = read(
        """\
store: 8GiB
store_per_principal: 2GiB
preauth_deadline: 5s
connections: 1000
connections_unauthenticated: 50
connections_per_source: 3
connections_known: 70
connections_per_known_source: 60
early_drop_from: 5
early_drop_percent: 50
penalties: {authentication: 6s, silent: 2s, deadline: 11s, from: 20s, most: 5min, exempt: [10.1.0.0/16]}
"""
    )
    penalties = Penalties(6, 2, 11, 20, 300, ("127.0.0.0/8", "::1/128", "10.1.0.0/16"))
    assert found == ServerLimits(8 << 30, 2 << 30, 5.0, ConnectionLimits(3, 50, 60, 70, 1000, 5, 0.5, penalties))


def test_what_is_not_said_is_the_default() -> None:
    assert read("connections: 4096") == ServerLimits()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{store: 8}", "write a number and its unit"),
        ("{store: 1B}", "out of bounds"),
        ("{connections: 0}", "from 1 to"),
        ("{early_drop_percent: 101}", "from 0 to 100"),
        ("{penalties: {most: 10}}", "limits.penalties.most|penalties.most"),
        ("{penalties: {exempt: 10.0.0.0/8}}", "a list"),
        ("{penalties: {exempt: [10.0.0.0/33]}}", "is not a network"),
        ("{penalty: {}}", 'did you mean "penalties"'),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        read(text)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.audit.collectors.destination import Destination, Kind, parse_destination
from securecc.model.errors import ConfigError

TIME = "2026-11-05T08:09:10.123456Z"


@pytest.mark.parametrize(
    ("text", "found", "again"),
    [
        ("/dev/log", Destination("local", "/dev/log"), "/dev/log"),
        ("journald", Destination("journald", "/run/systemd/journal/socket"), "journald"),
        ("udp:loghost", Destination("udp", "loghost", 514), "udp:loghost:514"),
        ("tcp:loghost.example.com:601", Destination("tcp", "loghost.example.com", 601), "tcp:loghost.example.com:601"),
        ("tcp:[2001:db8::1]:6514", Destination("tcp", "2001:db8::1", 6514), "tcp:[2001:db8::1]:6514"),
    ],
)
def test_destinations(text: str, found: Destination, again: str) -> None:
    assert parse_destination(text) == found
    assert str(found) == again
    assert parse_destination(again) == found


@pytest.mark.parametrize(
    "text", ["", "loghost", "udp:", "tcp:a:0", "tcp:a:65536", "tls:a:1", "udp:a b", "/a\0b", "udp:::1:5"]
)
def test_what_is_no_destination(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a collector; write /dev/log"):
        parse_destination(text)


@given(st.text(max_size=40))
def test_any_text_is_a_destination_or_a_config_error(text: str) -> None:
    try:
        assert parse_destination(text).where
    except ConfigError as error:
        assert str(error).isprintable()  # noqa: PT017 - either is right


def message(kind: Kind, line: str = "hello") -> bytes:
    return Destination(kind, "/x").message(line, host="farm1", time=TIME, pid=7)


def test_the_form_of_each_collector() -> None:
    rfc5424 = b"<85>1 2026-11-05T08:09:10.123456Z farm1 secureccd 7 checkpoint - hello"
    assert message("udp") == rfc5424
    assert message("tcp") == b"%d " % len(rfc5424) + rfc5424
    assert message("local") == b"<85>Nov  5 08:09:10 secureccd[7]: hello"
    fields = dict(line.split("=", 1) for line in message("journald").decode().splitlines())
    assert fields["MESSAGE"] == "hello"
    assert (fields["PRIORITY"], fields["SYSLOG_FACILITY"], fields["SYSLOG_PID"]) == ("5", "10", "7")
    assert len(bytes.fromhex(fields["MESSAGE_ID"])) == 16

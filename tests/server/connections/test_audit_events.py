"""Who was let in and who was not, on record."""

from typing import Any

import pytest

from securecc.audit.records.daemon_events import Connection, Daemon, Strangers
from securecc.model import limits
from securecc.model.errors import AuditError
from securecc.model.grant import Grant
from securecc.server.connections.audit_events import AuditEvents
from tests.channel_stub import StubChannel

PEER = ("192.0.2.1", 4000)


class Book:
    """An audit that keeps its records in memory, or refuses them."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.trouble: AuditError | None = None
        self.now = 0.0
        self.accounting = AuditEvents(self.append, lambda: "r7", lambda: self.now)

    def append(self, record: Any) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.records.append(record)


GRANT = Grant("alice@EXAMPLE.COM", "committers", "r7")


def test_who_comes_in_is_on_record() -> None:
    book = Book()
    book.accounting.admitted(StubChannel(PEER, server=True), GRANT)
    [record] = book.records
    assert isinstance(record, Connection)
    assert (record.decision, record.peer, record.rule, record.policy) == (
        "allowed",
        "192.0.2.1:4000",
        "committers",
        "r7",
    )


def test_who_cannot_be_recorded_does_not_come_in() -> None:
    book = Book()
    book.trouble = AuditError("the disk is full")
    with pytest.raises(AuditError):
        book.accounting.admitted(StubChannel(PEER, server=True), GRANT)


def test_who_has_proven_a_name_and_is_denied_is_on_record_in_full() -> None:
    book = Book()
    detail = {"principal": "mallory@EXAMPLE.COM", "reference": "ab", "rule": "leavers", "why": "you may not"}
    book.accounting.notice("denied", PEER, detail)
    [record] = book.records
    assert (record.decision, record.principal, record.reference, record.rule, record.reason, record.policy) == (
        "denied",
        "mallory@EXAMPLE.COM",
        "ab",
        "leavers",
        "you may not",
        "r7",
    )


def test_what_strangers_cause_is_counted_not_written_one_by_one() -> None:
    book = Book()
    for number in range(50):
        book.accounting.notice("acl", ("192.0.2.1", number), {"why": "y"})
    book.accounting.notice("authentication", PEER, {"why": "no name was proven"})
    book.accounting.notice("cap", PEER, {"why": "full", "principal": "a name that nobody has proven"})
    book.accounting.write_tally(ending=True)
    assert len(book.records) <= 2  # one, or two around the turn of a minute
    assert all(isinstance(record, Strangers) for record in book.records)
    assert sum(count for record in book.records for count in record.counts.values()) == 52
    assert book.accounting.refused == 52


def test_the_daemon_goes_on_when_its_log_is_full(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    book.trouble = AuditError("the disk is full")
    book.accounting.notice("denied", PEER, {"principal": "x", "why": "y"})
    book.accounting.notice("acl", PEER, {"why": "y"})
    book.accounting.write_tally(ending=True)
    book.accounting.daemon("stop", "told to stop")
    assert "the disk is full" in caplog.text


def test_the_life_of_the_daemon_is_on_record() -> None:
    book = Book()
    book.accounting.daemon("start", "", ("jail", "netns"))
    [record] = book.records
    assert isinstance(record, Daemon)
    assert (record.event, record.sandbox, record.policy) == ("start", ("jail", "netns"), "r7")


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("", ""),
        ("10.0.0.2", "by proxy 10.0.0.2"),
        ("192.0.2.1", "by proxy 192.0.2.1, which named no client"),
    ],
)
def test_by_which_proxy_somebody_came_is_on_record(proxy: Any, reason: str) -> None:
    book = Book()
    channel = StubChannel(PEER, server=True)
    channel.proxy = proxy
    book.accounting.admitted(channel, GRANT)
    assert book.records[0].reason == reason


def denials(book: Any) -> Any:
    return [record for record in book.records if isinstance(record, Connection)]


def test_who_may_not_compile_cannot_fill_the_log() -> None:
    book = Book()
    detail = {"principal": "mallory@EXAMPLE.COM", "why": "you may not"}
    for _ in range(1000):
        book.accounting.notice("denied", PEER, detail)
    assert len(denials(book)) == limits.DENIALS_PER_PRINCIPAL
    book.accounting.notice("denied", PEER, {"principal": "bob@EXAMPLE.COM", "why": "you may not"})
    assert len(denials(book)) == limits.DENIALS_PER_PRINCIPAL + 1
    for number in range(1000):
        book.accounting.notice("denied", PEER, {"principal": f"x{number}@EXAMPLE.COM", "why": "you may not"})
    assert len(denials(book)) == limits.DENIALS
    book.accounting.write_tally(ending=True)
    counted = [record for record in book.records if isinstance(record, Strangers)]
    assert sum(record.counts["denied"] for record in counted) == 2001 - limits.DENIALS
    book.now = 60.0
    book.accounting.notice("denied", PEER, detail)
    assert len(denials(book)) == limits.DENIALS + 1

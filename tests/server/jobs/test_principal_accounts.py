from typing import Any

import pytest

from securecc.model import limits
from securecc.server.jobs.principal_accounts import PrincipalAccounts
from tests.server.frontside import CWD, SOURCE, file_entry, packed


class Clock:
    now = 0.0

    def __call__(self) -> Any:
        return self.now


def numbered(number: int) -> Any:
    return packed([file_entry(CWD + b"/f%d" % number, SOURCE)])


def test_all_channels_of_a_principal_share_one_account() -> None:
    accounts = PrincipalAccounts()
    first, second, other = (accounts.open(name) for name in ("alice", "alice", "bob"))
    assert first is second is not other
    assert (first.channels, other.channels) == (2, 1)
    digest, data = numbered(1)
    first.manifests.put(digest, data)
    assert other.manifests.get(digest) is None
    accounts.close(first)
    assert second.manifests.get(digest) is not None
    accounts.close(first)
    assert (first.channels, first.manifests.size) == (0, 0)


def test_who_comes_back_has_not_been_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection gives no new burst."""
    monkeypatch.setattr(limits, "ACCOUNTS", 2)
    accounts = PrincipalAccounts(Clock())
    alice = accounts.open("alice")
    alice.starts.take(1, 1.0, 1)
    accounts.close(alice)
    assert accounts.open("alice").starts.wait(1, 1.0, 1) == 1.0
    accounts.close(alice)
    for name in ("bob", "carol", "mallory"):
        accounts.open(name)
    assert {account.principal for account in accounts} == {"bob", "carol", "mallory"}


def test_turns_may_take_half_of_the_time() -> None:
    clock = Clock()
    alice = PrincipalAccounts(clock).open("alice")
    assert alice.pace(limits.TURNS_BURST_S) == 0.0
    assert alice.pace(0.01) == 0.01 / limits.TURNS_RATE
    clock.now = 1.0
    assert alice.pace(0.01) == 0.0


def test_manifests_of_all_together_are_bounded_and_who_has_most_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(numbered(1)[1])
    monkeypatch.setattr(limits, "MANIFEST_BYTES_IN_ALL", 10 * size + 100)
    accounts = PrincipalAccounts()
    alice, bob = accounts.open("alice"), accounts.open("bob")
    bob.manifests.put(*numbered(99))
    for number in range(40):
        alice.manifests.put(*numbered(number))
    assert alice.manifests.size + bob.manifests.size <= limits.MANIFEST_BYTES_IN_ALL
    assert alice.manifests.size >= 8 * size
    assert bob.manifests.get(numbered(99)[0]) is not None
    accounts.close(alice)
    accounts.close(bob)
    assert accounts.manifest_bytes == 0

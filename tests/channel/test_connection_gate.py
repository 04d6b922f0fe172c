from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.channel.connection_gate import ConnectionGate, ConnectionLimits, Penalties
from securecc.channel.known_sources import KnownSources
from securecc.model import limits
from securecc.model.address import source_of
from securecc.model.errors import Denied


class Clock:
    now = 1000.0

    def __call__(self) -> Any:
        return self.now


def gate(
    chance: float | Callable[[], float] = 1.0, clock: Any = None, known: Any = (), proxies: Any = (), **places: Any
) -> Any:
    return ConnectionGate(
        connection_limits=ConnectionLimits(penalties=Penalties(exempt=()), **places),
        known=KnownSources(dict.fromkeys(known, 0.0), lambda: 1.0),
        proxies=lambda address: address in proxies,
        chance=chance if callable(chance) else lambda: chance,
        clock=clock or Clock(),
    )


def refused(some: Any, address: str = "192.0.2.1") -> Any:
    with pytest.raises(Denied) as denied:
        some.enter(address)
    return denied.value.rule


def test_the_network_list_comes_first() -> None:
    some = ConnectionGate(
        allowed=lambda address: address.startswith("10."), connection_limits=ConnectionLimits(total=0, per_source=5)
    )
    assert refused(some) == "acl"
    assert refused(some, "10.0.0.1") == "cap"


def test_a_source_has_its_share() -> None:
    some = gate(per_source=2)
    places = [some.enter("192.0.2.1"), some.enter("192.0.2.1")]
    assert refused(some) == "cap-source"
    some.enter("192.0.2.2")
    places[0].leave()
    places[0].leave()
    some.enter("192.0.2.1")
    assert refused(some) == "cap-source"


def test_authenticated_connections_do_not_count_against_their_source() -> None:
    some = gate(per_source=1, total=2)
    first = some.enter("192.0.2.1")
    first.authenticate()
    first.authenticate()
    some.enter("192.0.2.1").authenticate()
    assert refused(some) == "cap"
    first.leave()
    some.enter("192.0.2.1")


def test_strangers_have_a_limit_in_all() -> None:
    some = gate(unauthenticated=2)
    some.enter("192.0.2.1")
    some.enter("192.0.2.2")
    assert refused(some, "192.0.2.3") == "cap-strangers"


@pytest.mark.parametrize(
    ("held", "chance", "falls"), [(9, 0.0, False), (10, 0.29, True), (10, 0.31, False), (99, 0.98, True)]
)
def test_early_drop_grows_with_the_crowd(held: Any, chance: Any, falls: Any) -> None:
    rolls = iter([1.0] * (held - limits.STARTUPS_BEGIN) + [chance])
    some = gate(chance=lambda: next(rolls))
    for number in range(held):
        some.enter(f"192.0.2.{number}")
    if falls:
        assert refused(some, "198.51.100.1") == "early"
    else:
        some.enter("198.51.100.1")


def test_penalties_add_up_and_pass() -> None:
    clock = Clock()
    some = gate(clock=clock)
    for _ in range(2):
        some.enter("192.0.2.1").leave("authentication")
    some.enter("192.0.2.1").leave("authentication")
    assert refused(some) == "penalty"
    some.enter("192.0.2.2").leave()
    clock.now += 0.1
    some.enter("192.0.2.1").leave()  # below PENALTY_FROM_S again
    clock.now += limits.PENALTY_MOST_S
    some.enter("192.0.2.1").leave()
    assert not some.penalties


def test_penalties_have_an_end_and_the_list_of_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    some = gate(clock=clock)
    for _ in range(200):
        some.left("192.0.2.1", "authentication")
    assert some.penalties["192.0.2.1"] == clock.now + limits.PENALTY_MOST_S
    monkeypatch.setattr(limits, "PENALTY_SOURCES", 3)
    for number in range(10):
        some.left(f"198.51.100.{number}", "tls")
    assert len(some.penalties) == 3


def test_a_host_does_not_shut_out_its_own_users() -> None:
    some = ConnectionGate()
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        for _ in range(10):
            some.enter(address).leave("authentication")


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_source(address: Any, source: Any) -> None:
    assert source_of(address) == source


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["enter", "authenticate", "leave"])), max_size=40))
def test_what_enters_and_leaves_adds_up(script: Any) -> None:
    some, places = gate(per_source=3, total=6, unauthenticated=5), []
    for number, act in script:
        if act == "enter":
            try:
                places.append(some.enter(f"192.0.2.{number}"))
            except Denied:
                continue
        elif places:
            place = places[number % len(places)]
            (place.authenticate if act == "authenticate" else place.leave)()
            if act == "leave":
                places.remove(place)
    assert some.total == len(places)
    waiting = sum(not place.authenticated for place in places)
    crowds = (some.strangers, some.returning)
    assert sum(crowd.count for crowd in crowds) == waiting
    assert sum(crowd.sources.total() for crowd in crowds) == waiting


@pytest.mark.parametrize(
    ("event", "seconds"),
    [("authentication", 5), ("protocol", 5), ("tls", 5), ("silent", 1), ("deadline", 10), ("denied", 0), ("", 0)],
)
def test_what_an_end_costs(event: str, seconds: float) -> None:
    assert Penalties().of(event) == seconds


LOGIN_NODE = "192.0.2.1"


def test_a_login_node_with_a_hundred_users_is_not_shut_out_after_a_restart() -> None:
    """All of them come back at once, while strangers hold every place of theirs."""
    some = gate(chance=1.0, known=[LOGIN_NODE])
    for number in range(100):
        some.enter(f"198.51.100.{number}")
    assert refused(some, "203.0.113.1") == "cap-strangers"
    places = [some.enter(LOGIN_NODE) for _ in range(100)]
    assert all(place.known for place in places)
    for place in places:
        place.authenticate()
    assert some.returning.count == 0


def test_a_known_source_gets_no_penalties() -> None:
    some = gate(known=[LOGIN_NODE])
    for _ in range(50):
        some.enter(LOGIN_NODE).leave("authentication")
    some.enter(LOGIN_NODE)


def test_a_known_source_has_its_share_too() -> None:
    some = gate(known=[LOGIN_NODE, "192.0.2.2", "192.0.2.3"], known_per_source=3, returning=5)
    for _ in range(3):
        some.enter(LOGIN_NODE)
    assert refused(some, LOGIN_NODE) == "cap-source"
    some.enter("192.0.2.2")
    some.enter("192.0.2.2")
    assert refused(some, "192.0.2.3") == "cap-strangers"
    some.enter("198.51.100.1")


def test_a_source_is_known_once_somebody_was_let_in_and_not_before() -> None:
    some = gate(per_source=1)
    first = some.enter(LOGIN_NODE)
    assert not first.known
    assert refused(some, LOGIN_NODE) == "cap-source"
    first.authenticate()
    assert not first.known
    assert some.enter(LOGIN_NODE).known
    assert not some.enter("198.51.100.1").known


PROXY = "10.0.0.2"


def test_a_proxys_connections_count_for_those_whom_it_names() -> None:
    some = gate(proxies=[PROXY], per_source=2)
    for _ in range(2):
        place = some.enter(PROXY)
        assert place.proxied
        place.forward_for("198.51.100.1")
        assert (place.proxied, place.source) == (False, "198.51.100.1")
    third = some.enter(PROXY)
    with pytest.raises(Denied) as denied:
        third.forward_for("198.51.100.1")
    assert denied.value.rule == "cap-source"
    third.leave("authentication")
    assert some.proxied.count == 0
    assert some.total == 2
    some.enter(PROXY).forward_for("198.51.100.2")


def test_a_proxy_cannot_bring_whom_the_network_does_not_admit() -> None:
    some = ConnectionGate(allowed=lambda address: address != "203.0.113.1", proxies=lambda address: address == PROXY)
    with pytest.raises(Denied) as denied:
        some.enter(PROXY).forward_for("203.0.113.1")
    assert denied.value.rule == "acl"


def test_a_proxy_is_let_near_and_never_punished_but_not_without_end() -> None:
    some = gate(proxies=[PROXY], known_per_source=3)
    some.allowed = lambda address: False
    for _ in range(50):
        some.enter(PROXY).leave("protocol")
    for _ in range(3):
        some.enter(PROXY)
    assert refused(some, PROXY) == "cap-source"


def test_whom_a_proxy_names_is_punished() -> None:
    some = gate(proxies=[PROXY])
    for _ in range(3):
        place = some.enter(PROXY)
        place.forward_for("198.51.100.1")
        place.leave("authentication")
    with pytest.raises(Denied) as denied:
        some.enter(PROXY).forward_for("198.51.100.1")
    assert denied.value.rule == "penalty"
    some.enter(PROXY).forward_for("198.51.100.2")


def test_a_proxy_that_names_nobody_makes_itself_no_known_source() -> None:
    some = gate(proxies=[PROXY])
    some.enter(PROXY).authenticate()
    assert PROXY not in some.known

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.channel.gate import Gate, Places, source_of
from securecc.words import limits
from securecc.words.errors import Denied


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def gate(chance=1.0, clock=None, **places):
    return Gate(places=Places(spared=(), **places), chance=lambda: chance, clock=clock or Clock())


def refused(some, address="192.0.2.1"):
    with pytest.raises(Denied) as denied:
        some.enter(address)
    return denied.value.rule


def test_the_network_list_comes_first():
    some = Gate(allowed=lambda address: address.startswith("10."), places=Places(total=0))
    assert refused(some) == "acl"
    assert refused(some, "10.0.0.1") == "cap"


def test_a_source_has_its_share():
    some = gate(per_source=2)
    places = [some.enter("192.0.2.1"), some.enter("192.0.2.1")]
    assert refused(some) == "cap-source"
    some.enter("192.0.2.2")
    places[0].leave()
    places[0].leave()
    some.enter("192.0.2.1")
    assert refused(some) == "cap-source"


def test_authenticated_connections_do_not_count_against_their_source():
    some = gate(per_source=1, total=2)
    first = some.enter("192.0.2.1")
    first.prove()
    first.prove()
    some.enter("192.0.2.1").prove()
    assert refused(some) == "cap"
    first.leave()
    some.enter("192.0.2.1")


def test_strangers_have_a_limit_in_all():
    some = gate(unauthenticated=2)
    some.enter("192.0.2.1")
    some.enter("192.0.2.2")
    assert refused(some, "192.0.2.3") == "cap-strangers"


@pytest.mark.parametrize(
    ("held", "chance", "falls"), [(9, 0.0, False), (10, 0.29, True), (10, 0.31, False), (99, 0.98, True)]
)
def test_early_drop_grows_with_the_crowd(held, chance, falls):
    some = gate(chance=chance)
    some._chance = lambda: 1.0
    for number in range(held):
        some.enter(f"192.0.2.{number}")
    some._chance = lambda: chance
    if falls:
        assert refused(some, "198.51.100.1") == "early"
    else:
        some.enter("198.51.100.1")


def test_penalties_add_up_and_pass():
    clock = Clock()
    some = gate(clock=clock)
    for _ in range(2):
        some.enter("192.0.2.1").leave(limits.PENALTY_AUTHENTICATION_S)
    some.enter("192.0.2.1").leave(limits.PENALTY_AUTHENTICATION_S)
    assert refused(some) == "penalty"
    some.enter("192.0.2.2").leave()
    clock.now += 0.1
    some.enter("192.0.2.1").leave()  # below PENALTY_FROM_S again
    clock.now += limits.PENALTY_MOST_S
    some.enter("192.0.2.1").leave()
    assert not some._penalties


def test_penalties_have_an_end_and_the_list_of_them_too(monkeypatch):
    clock = Clock()
    some = gate(clock=clock)
    for _ in range(3):
        some.left("192.0.2.1", limits.PENALTY_MOST_S)
    assert some._penalties["192.0.2.1"] == clock.now + limits.PENALTY_MOST_S
    monkeypatch.setattr(limits, "PENALTY_SOURCES", 3)
    for number in range(10):
        some.left(f"198.51.100.{number}", 5.0)
    assert len(some._penalties) == 3


def test_a_host_does_not_shut_out_its_own_users():
    some = Gate()
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        for _ in range(10):
            some.enter(address).leave(limits.PENALTY_MOST_S)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_source(address, source):
    assert source_of(address) == source


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["enter", "prove", "leave"])), max_size=40))
def test_what_enters_and_leaves_adds_up(script):
    some, places = gate(per_source=3, total=6, unauthenticated=5), []
    for number, act in script:
        if act == "enter":
            try:
                places.append(some.enter(f"192.0.2.{number}"))
            except Denied:
                continue
        elif places:
            place = places[number % len(places)]
            (place.prove if act == "prove" else place.leave)()
            if act == "leave":
                places.remove(place)
    assert some._total == len(places)
    assert some._unauthenticated == sum(not place.authenticated for place in places) == sum(some._strangers.values())

from typing import Any

import pytest

from securecc.model import limits
from securecc.server.jobs.delivery_backlog import DeliveryBacklog


class Taker:
    reference = "ref"

    def __init__(self) -> None:
        self.said: list[Any] = []

    def close(self, goodbye: Any = None) -> None:
        self.said.append(goodbye)


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULTS_WAITING", 1000)


def test_what_is_taken_makes_room() -> None:
    some, alice = DeliveryBacklog(), Taker()
    for _ in range(100):
        some.add(alice, 900)
        some.remove(alice, 900)
    assert (some.total, alice.said) == (0, [])
    assert len(some) == 0


def test_who_lets_most_wait_is_cut_off_whoever_comes_last() -> None:
    some, alice, mallory = DeliveryBacklog(), Taker(), Taker()
    for _ in range(3):
        some.add(mallory, 300)
    some.add(alice, 200)
    assert alice.said == []
    [goodbye] = mallory.said
    assert goodbye.code == "limit"
    assert "900 bytes of your results are waiting" in goodbye.reason
    for _ in range(3):
        some.remove(mallory, 300)
    some.add(alice, 700)
    assert (some.total, len(mallory.said), alice.said) == (900, 1, [])

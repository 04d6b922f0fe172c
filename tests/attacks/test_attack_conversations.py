"""The corpus over the protocol: strangers' bytes, and frames and messages of somebody who is admitted. Raw alone: the
wrapper can say none of it. The health probe follows each.
"""

from typing import Any

import pytest

from tests.attacks.conversing import Conversation, conversations, hold
from tests.attacks.health import Health
from tests.farm.farmside import Farm
from tests.waiting import until

ALL = [said for topic in ("strangers", "protocol") for said in conversations(topic)]


@pytest.mark.parametrize("said", ALL, ids=lambda said: said.id)
def test_it_ends_as_it_may_and_nothing_ran(farm: Farm, health: Health, said: Conversation) -> None:
    how, words = hold(farm, said)
    assert how in said.may, (how, words)
    assert words.isprintable()
    assert health.records(kind="job-start") == []
    if said.topic == "strangers":
        assert health.records(kind="connection") == []


def test_who_breaks_the_protocol_is_on_record(farm: Farm, health: Health) -> None:
    """As somebody who has done nothing else in this minute: no more than ten of these are written one by one."""
    said = next(each for each in ALL if each.id == "protocol: an unknown kind")
    assert hold(farm.as_principal("bob"), said)[0] == "goodbye"

    def record() -> list[dict[str, Any]]:
        return health.records(kind="connection", decision="denied", principal="bob@EXAMPLE.COM")

    (found,) = until(record, what="the record of what was illegal")
    assert found["reason"] == "broke the protocol: a frame of kind 77 is not legal here"
    assert "a frame of kind 77" in farm.server.log()


def test_the_corpus_is_large() -> None:
    assert len({said.id for said in ALL}) == len(ALL) >= 90

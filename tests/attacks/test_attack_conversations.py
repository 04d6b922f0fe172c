"""The corpus over the protocol: strangers' bytes, and frames and messages of somebody who is admitted. Raw alone: the
wrapper can say none of it. The health probe follows each.
"""

import pytest
from conversing import conversations, hold

ALL = [said for topic in ("strangers", "protocol") for said in conversations(topic)]


@pytest.mark.parametrize("said", ALL, ids=lambda said: said.id)
def test_it_ends_as_it_may_and_nothing_ran(farm, health, said):
    how, words = hold(farm, said)
    assert how in said.may, (how, words)
    assert words.isprintable()
    assert health.records(kind="job-start") == []
    if said.topic == "strangers":
        assert health.records(kind="connection") == []


def test_the_corpus_is_large():
    assert len({said.id for said in ALL}) == len(ALL) >= 90

"""securecc.client.execution.placed: which refusals are a server's, and which one compile's."""

import pytest

from securecc.model.errors import Refused, StaysLocal
from securecc.model.messages import Ask, Refuse, RefuseCode, Submit
from tests.client.compile.compile_rig import Rig, run


def test_a_refusal_names_its_code(rig: Rig) -> None:
    async def body() -> None:
        rig.answers(lambda job, _: Refuse(job, "draining", "no"))
        with pytest.raises(Refused) as refused:
            await rig.compile()
        assert refused.value.code == "draining"

    run(body())


def test_a_server_that_others_fill_is_asked_for_a_slot(rig: Rig) -> None:
    """And for a while before anything is sent."""

    async def body() -> None:
        rig.answers(lambda job, _: Refuse(job, "busy", "ask"), rig.good(), rig.good())
        for expected in ([Submit, Ask, Submit], [Ask, Submit]):
            said = len(rig.channel.said)
            assert (await rig.compile())[2].received.result.status == 0
            assert [type(each) for each in rig.channel.said[said:] if isinstance(each, Ask | Submit)] == expected

    run(body())


@pytest.mark.parametrize("code", ["tree", "option", "limit"])
def test_a_refusal_of_this_one_compile_is_a_reason_to_stay(rig: Rig, code: RefuseCode) -> None:
    async def body() -> None:
        rig.answers(lambda job, _: Refuse(job, code, "no"))
        with pytest.raises(StaysLocal) as local:
            await rig.compile()
        assert local.value.reason == f"refused-{code}"

    run(body())

"""securecc.client.execution.pipeline: a compile passes all executors, the local compiler's word being the last."""

from typing import Any

import pytest

from securecc.client.execution import pipeline
from securecc.client.execution.accepted import NotAcceptedError
from securecc.client.execution.executor import Compile, Outcome
from securecc.client.host.local_slots import LocalSlots
from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.witness.witness import Witness
from securecc.model.messages import Refuse, Result, Submit
from tests.client.compile.compile_rig import Rig, run, with_shared_tree
from tests.client.farm_stub import NotingLauncher


async def executed(rig: Rig, launcher: NotingLauncher, *answers: Any) -> Outcome:
    """What becomes of the rig's compile at a server that gives these results."""
    invocation = await with_shared_tree(rig)
    inputs = await rig.resolve(invocation, launcher)
    rig.answers(*answers)
    witness = Witness(DirectoryCache(), SystemDirectories())
    chain = pipeline.compose(lambda settings, request: rig.farm, rig.resolver, rig.doubt, LocalSlots(1), witness)
    return await chain.run(Compile(launcher, invocation, inputs))


def test_a_success_comes_out_as_files(rig: Rig) -> None:
    outcome = run(executed(rig, rig.launcher, rig.good(b"object")))
    assert [file.content.read() for file in outcome.files] == [b"object"]
    assert outcome.local_status is None


def test_a_failure_is_retried_with_the_files_and_then_judged_here(rig: Rig) -> None:
    launcher = NotingLauncher(spawns=256)

    def refused(job: int, submit: Submit) -> Refuse:
        return Refuse(job, "layer", "not here")

    outcome = run(executed(rig, launcher, refused, rig.good(status=1)))
    assert [submit.attempt for submit in rig.server.submits.values()] == [1, 2]
    assert (outcome.local_status, outcome.files) == (256, ())
    assert [told[0] for told in launcher.told] == ["spawn"]


def test_what_is_not_the_commands_is_not_run_here_by_the_chain(rig: Rig) -> None:
    launcher = rig.launcher

    def damaged(job: int, submit: Submit) -> tuple[Result, bytes]:
        announced, _ = rig.good()(job, submit)
        return announced, b"outerobjec?"

    with pytest.raises(NotAcceptedError, match="arrived damaged"):
        run(executed(rig, launcher, damaged))
    assert launcher.told == []

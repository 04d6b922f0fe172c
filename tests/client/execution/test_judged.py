"""securecc.client.execution.judged: the local compiler has the last word on a failure."""

from dataclasses import replace
from typing import Any

import pytest

from securecc.client.execution.executor import Compile, Outcome
from securecc.client.execution.judged import Judged
from securecc.client.host.local_slots import LocalSlots
from tests.client.compile.compile_rig import Rig, received, run
from tests.client.farm_stub import NotingLauncher


class Given:
    """An executor with this outcome."""

    def __init__(self, **changes: Any) -> None:
        self.outcome = Outcome(received(**changes), "farm1", 0)

    async def run(self, compile_: Compile) -> Outcome:
        return self.outcome


async def judged(rig: Rig, launcher: NotingLauncher, *, fallback: bool = True, **changes: Any) -> Outcome:
    invocation = await rig.prepare()
    invocation = replace(invocation, settings=replace(invocation.settings, fallback=fallback))
    compile_ = Compile(launcher, invocation, await rig.resolve(invocation))
    return await Judged(Given(**changes), LocalSlots(1)).run(compile_)


@pytest.mark.parametrize("changes", [{"status": 1}, {"status": -11}, {"limit": "wall"}])
def test_what_fails_on_a_server_is_run_here(rig: Rig, changes: dict[str, Any]) -> None:
    launcher = NotingLauncher(spawns=256)
    assert run(judged(rig, launcher, **changes)).local_status == 256
    assert launcher.told == [("spawn", (b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"a.o"))]


@pytest.mark.parametrize(("fallback", "changes"), [(True, {}), (False, {"status": 1})])
def test_what_succeeds_and_what_must_not_run_here_is_not(rig: Rig, fallback: bool, changes: dict[str, Any]) -> None:
    launcher = NotingLauncher()
    assert run(judged(rig, launcher, fallback=fallback, **changes)).local_status is None
    assert launcher.told == []

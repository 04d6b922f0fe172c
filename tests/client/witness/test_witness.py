"""Judging a run, and remembering the judgement."""

import pytest

from securecc.client.compile.invocation import Invocation
from securecc.client.execution.executor import Compile
from securecc.client.host.system_directories import SystemDirectories
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.witness.witness import Witness
from securecc.model.errors import ProtocolError, StaysLocal
from securecc.model.manifest import digest
from tests.client.compile.compile_rig import Rig, run

ALIKE = b"Nfa.c\0Nfa.h\0V-BINUTILS_ROOT"


@pytest.fixture
def witness() -> Witness:
    return Witness(DirectoryCache(), SystemDirectories())


async def compile_of(rig: Rig, environment: dict[bytes, bytes] | None = None) -> tuple[Invocation, Compile]:
    invocation = await rig.prepare(environment=environment or {b"PATH": b"/usr/bin"})
    return invocation, Compile(rig.launcher, invocation, await rig.resolve(invocation))


def test_what_is_alike_is_known_from_then_on(rig: Rig, witness: Witness) -> None:
    invocation, compile_ = run(compile_of(rig))
    assert witness.known(invocation) == b""
    assert witness.judge(compile_, digest(ALIKE), ALIKE) == []
    assert witness.known(invocation) == digest(ALIKE)


def test_what_differs_is_not(rig: Rig, witness: Witness) -> None:
    invocation, compile_ = run(compile_of(rig))
    asked = b"N-a.h\0Nfa.c"
    assert [each.question.text for each in witness.judge(compile_, digest(asked), asked)] == [b"a.h"]
    assert witness.known(invocation) == b""


@pytest.mark.parametrize("data", [b"", b"garbage", b"Nf" + b"\0" * 9])
def test_what_is_no_set_of_questions_is_refused(rig: Rig, witness: Witness, data: bytes) -> None:
    _, compile_ = run(compile_of(rig))
    with pytest.raises(ProtocolError):
        witness.judge(compile_, digest(b"other"), data)
    if data:
        with pytest.raises(ProtocolError):
            witness.judge(compile_, digest(data), data)


def test_a_variable_that_a_run_asked_for_keeps_the_next_compile_here(rig: Rig, witness: Witness) -> None:
    _, compile_ = run(compile_of(rig))
    witness.check_foreseen(compile_)
    witness.judge(compile_, digest(ALIKE), ALIKE)
    _, other = run(compile_of(rig, {b"PATH": b"/usr/bin", b"BINUTILS_ROOT": b"/x"}))
    with pytest.raises(StaysLocal, match="BINUTILS_ROOT"):
        witness.check_foreseen(other)
    _, harmless = run(compile_of(rig, {b"PATH": b"/usr/bin", b"GCC_VERSION": b"12"}))
    witness.check_foreseen(harmless)

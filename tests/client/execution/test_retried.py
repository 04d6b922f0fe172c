"""securecc.client.execution.retried: a compile goes once more where it went with the wrong files."""

from securecc.client.inputs.compile_inputs import Inputs
from securecc.model.manifest import Role
from securecc.model.messages import Refuse
from tests.client.compile.compile_rig import Rig, run, with_shared_tree


def bits(inputs: Inputs, *names: bytes) -> bytes:
    """As in a Result: these files were read."""
    read = bytearray(len(inputs.entries) // 8 + 1)
    for index, entry in enumerate(inputs.entries):
        if entry.path.rpartition(b"/")[2] in names:
            read[index >> 3] |= 1 << (index & 7)
    return bytes(read)


def test_what_a_run_has_read_the_next_one_must_read(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "b.h").write_text("int b;\n")
        (rig.folder / "a.c").write_text('#include "a.h"\n#ifdef B\n#include "b.h"\n#endif\nint a;\n')
        invocation, launcher = await rig.prepare(), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(rig.good(read=bits(inputs, b"a.c", b"a.h")))
        await rig.run(invocation, inputs, launcher)
        for _ in range(2):
            again = await rig.resolve(invocation, launcher)
            roles = rig.roles(again)
            assert roles == {b"a.c": Role.READ, b"a.h": Role.READ}
        assert not launcher.told

    run(body())


def test_a_server_that_hides_what_was_read_is_believed_until_the_next_run_fails(rig: Rig) -> None:
    async def body() -> None:
        invocation, launcher = await rig.prepare(), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(rig.good(read=bits(inputs, b"a.c")), rig.good(status=1))
        await rig.run(invocation, inputs, launcher)
        less = await rig.resolve(invocation, launcher)
        assert set(rig.roles(less)) == {b"a.c"}
        assert (await rig.run(invocation, less, launcher)).received.result.status == 1
        again = await rig.resolve(invocation, launcher)
        assert again.digest == inputs.digest

    run(body())


def test_strays_without_having_asked_are_a_reason_to_ask(rig: Rig) -> None:
    async def body() -> None:
        invocation, launcher = await rig.prepare(), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(rig.good(strays=(0,)), rig.good(b"second"))
        found = await rig.run(invocation, inputs, launcher)
        assert launcher.told == [("capture", (b"/usr/bin/gcc", b"a.c", b"-M"))]
        assert found.received.outputs[0].content.read() == b"second"
        assert [submit.attempt for submit in rig.server.submits.values()] == [1, 2]
        assert (await rig.resolve(invocation, launcher)).from_compiler

    run(body())


def test_a_compile_has_three_attempts_at_most(rig: Rig) -> None:
    """The shared tree is refused, its files then turn out to be others: each attempt says which it is."""

    async def body() -> None:
        invocation, launcher = await with_shared_tree(rig), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(lambda job, submit: Refuse(job, "layer", "not here"), rig.good(strays=(0,)), rig.good())
        await rig.run(invocation, inputs, launcher)
        assert [submit.attempt for submit in rig.server.submits.values()] == [1, 2, 3]

    run(body())


def test_a_server_without_the_shared_tree_gets_its_files(rig: Rig) -> None:
    async def body() -> None:
        invocation, launcher = await with_shared_tree(rig), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(lambda job, submit: Refuse(job, "layer", "not here"), rig.good())
        found = await rig.run(invocation, inputs, launcher)
        assert found.received.result.status == 0
        first, second = rig.server.submits.values()
        assert (first.manifest_digest == inputs.digest) > (second.manifest_digest == inputs.digest)
        assert (first.attempt, second.attempt) == (1, 2)
        assert not rig.shared_trees  # nor is it tried again with the next compile

    run(body())


def test_a_run_that_read_other_files_than_the_compiler_named_is_not_remembered(rig: Rig) -> None:
    async def body() -> None:
        rig.name_by_macro()
        invocation, launcher = await rig.prepare(), rig.launcher
        inputs = await rig.resolve(invocation, launcher)
        rig.answers(rig.good(strays=(0,)))
        outcome = await rig.run(invocation, inputs, launcher)
        assert outcome.received.result.strays
        await rig.resolve(invocation, launcher)
        assert len(launcher.told) == 2

    run(body())

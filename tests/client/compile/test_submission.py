"""securecc.client.compile.submission: a compile goes whole and comes back whole."""

import asyncio
import os

import pytest

from securecc.client.inputs.compile_inputs import compressed_manifest
from securecc.model.errors import ChannelError, StaysLocal
from securecc.model.manifest import INPUT, Kind
from securecc.model.messages import Cancel, Need, Wait
from tests.client.compile.compile_rig import STDIN, Rig, run
from tests.client.farm_stub import NotingLauncher, ServerChannel


def test_standard_input_goes_as_a_file_of_no_name(rig: Rig) -> None:
    async def body() -> None:
        source = b'#include "a.h"\nint a;\n'
        launcher = NotingLauncher(given=source)
        invocation = await rig.prepare(*STDIN)
        inputs = await rig.resolve(invocation, launcher)
        assert launcher.told == ["input"]
        assert inputs.entries[0].path == INPUT
        rig.answers(rig.good(), need=[(0, len(source))])
        remote = await rig.run(invocation, inputs, launcher)
        assert rig.channel.bulk[1] == source
        assert [output.content.read() for output in remote.received.outputs] == [b"object"]

    run(body())


def test_a_compile_goes_whole_and_comes_back_whole(rig: Rig) -> None:
    async def body() -> None:
        rig.answers(rig.good())
        invocation, inputs, found = await rig.compile()
        received = found.received
        assert (received.stdout.read(), received.stderr.read(), found.server) == (b"out", b"er", "farm1")
        [output] = received.outputs
        assert (output.announced.path, output.content.read()) == (rig.object, b"object")
        assert (received.size, found.sent) == (11, len(compressed_manifest(inputs)))
        submit = rig.server.submits[1]
        assert submit.arguments == (b"/usr/bin/gcc", *invocation.request.arguments[1:])
        assert (submit.manifest, submit.manifest_digest) == (compressed_manifest(inputs), inputs.digest)

    run(body())


def test_the_files_that_lack_are_sent_and_the_manifest_only_once(rig: Rig) -> None:
    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        names = [os.fsencode(rig.folder / name) for name in ("a.c", "a.h")]
        files = [(index, entry.size) for index, entry in enumerate(inputs.entries) if entry.path in names]
        rig.answers(rig.good(), rig.good(), need=files)
        first = await rig.run(invocation, inputs)
        contents = b"".join((rig.folder / name).read_bytes() for name in ("a.c", "a.h"))
        assert rig.channel.bulk[1] == contents
        assert first.sent == len(compressed_manifest(inputs)) + len(contents)
        rig.server.need = None
        second = await rig.run(invocation, inputs)
        assert (rig.server.submits[2].manifest, second.sent) == (b"", 0)

    run(body())


def test_a_server_that_forgot_the_manifest_gets_it_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        rig.answers(rig.good())
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        needs = [Need(1, manifest=True, blobs=())]
        finish = rig.server.finish

        def forgetful(channel: ServerChannel, job: int) -> None:
            channel.hear(needs.pop()) if needs else finish(channel, job)

        monkeypatch.setattr(rig.server, "finish", forgetful)
        found = await rig.run(invocation, inputs)
        assert found.sent == 2 * len(compressed_manifest(inputs))

    run(body())


def test_a_result_waits_for_its_bytes_while_files_are_still_being_sent(rig: Rig) -> None:
    """Attack on the object: the Result comes while the agent is blocked in sending, its bytes trickle in later."""

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        [first, *_] = [index for index, entry in enumerate(inputs.entries) if entry.kind is Kind.FILE]
        rig.answers(need=[(first, 10**6)])
        running = asyncio.create_task(rig.run(invocation, inputs))
        rig.channel.room.clear()
        await rig.channel.until_bulk()
        message, content = rig.good()(1, None)
        rig.channel.hear(message)
        rig.channel.hear_bulk(1, content[:4])
        rig.channel.room.set()
        for _ in range(10):
            await asyncio.sleep(0)
        rig.channel.hear_bulk(1, content[4:])
        found = await running
        assert found.received.outputs[0].content.read() == b"object"

    run(body())


@pytest.mark.parametrize("index", [-1, 10**6, "directory"])
def test_a_server_gets_only_files_of_the_manifest(rig: Rig, index: int | str) -> None:
    """Attack: the server asks for what is not there, by a number before, behind or beside the files."""

    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        folder = next(number for number, entry in enumerate(inputs.entries) if entry.kind is not Kind.FILE)
        wanted = index if isinstance(index, int) else folder
        rig.answers(need=[(wanted, 1)])
        with pytest.raises(ChannelError, match="not in the manifest"):
            await rig.run(invocation, inputs)
        assert isinstance(rig.channel.said[-1], Cancel)
        assert not rig.channel.bulk

    run(body())


@pytest.mark.parametrize("change", ["content", "longer", "gone", "fifo", "link"])
def test_a_file_that_changes_while_it_is_sent_stays_here(rig: Rig, change: str) -> None:
    async def body() -> None:
        invocation = await rig.prepare()
        inputs = await rig.resolve(invocation)
        header = rig.folder / "a.h"
        secret = rig.folder / "secret"
        secret.write_text("extern int a;\n")
        if change == "content":
            header.write_text("extern int z;\n")
        elif change == "longer":
            header.write_text("extern int a;\nint more;\n")
        else:
            header.unlink()
        if change == "fifo":
            os.mkfifo(header)
        elif change == "link":
            header.symlink_to(secret)
        index = next(n for n, entry in enumerate(inputs.entries) if entry.path.endswith(b"a.h"))
        rig.answers(need=[(index, 14)])
        with pytest.raises(StaysLocal) as local:
            await rig.run(invocation, inputs)
        assert local.value.reason == "changed"
        assert not rig.channel.bulk

    run(body())


def test_a_server_that_answers_with_something_else(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        rig.answers()

        def odd(channel: ServerChannel, job: int) -> None:
            assert channel.listener is not None
            channel.listener.on_message(Wait(job, 1))  # a channel would not pass it on

        monkeypatch.setattr(rig.server, "finish", odd)
        with pytest.raises(ChannelError, match="farm1 answered a job with Wait"):
            await rig.compile()

    run(body())


def test_a_lost_server(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        rig.answers()
        monkeypatch.setattr(rig.server, "finish", lambda channel, job: channel.lose(ChannelError("reset")))
        with pytest.raises(ChannelError, match="reset"):
            await rig.compile()

    run(body())


def test_a_zone_that_cannot_be_told_does_the_channel_no_harm(rig: Rig) -> None:
    async def body() -> None:
        (rig.folder / "a.c").write_text("const char *t = __TIMESTAMP__;\n")
        rig.answers(rig.good())
        invocation = await rig.prepare(environment={b"TZ": b"No/Such"})
        inputs = await rig.resolve(invocation)
        with pytest.raises(StaysLocal) as local:
            await rig.run(invocation, inputs)
        assert local.value.reason == "time"
        good = await rig.prepare(environment={b"TZ": b"Asia/Tokyo"})
        assert (await rig.run(good, inputs)).received.outputs

    run(body())

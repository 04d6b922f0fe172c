"""One compile between launcher, memory and server: understood, gathered, sent, and its outputs judged."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from securecc.client.compile.invocation import environment_of
from securecc.client.compile.remote_compile import Compiles, check_places, end, judge
from securecc.client.compile.submission import Remote
from securecc.client.inputs.compile_inputs import compressed_manifest
from securecc.client.inputs.dependency_cache import DependencyCache
from securecc.client.inputs.directory_cache import DirectoryCache
from securecc.client.inputs.file_cache import FileCache
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.client.ipc.frames import Die, Keep
from securecc.client.state.settings import Settings
from securecc.compiler.command_line import compile_plan
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.compiler.toolchain.discovery import ToolchainClosure
from securecc.model import limits
from securecc.model.errors import ChannelError, Refused, StaysLocal
from securecc.model.manifest import INPUT, Kind, Role
from securecc.model.messages import Ask, Cancel, Need, Output, Refuse, SharedTree, Submit, Wait
from tests.client.farm_stub import GCC, SETTINGS, GoodServer, NotingCaller, ServerChannel, farm_of, request, result

CLOSURE = ToolchainClosure(
    name=GCC.name,
    target=GCC.target,
    version="12",
    called_by=(b"/usr/bin/gcc",),
    files=(),
    calls=(),
    directories=(b"/usr/bin",),
    include_directories=(b"/usr/include",),
    search_path=b"/usr/bin",
    digest=GCC.digest,
)


class Bench:
    """A working directory with a.c and a.h, and all parts of a compile."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "a.c").write_text('#include "a.h"\nint a;\n')
        (folder / "a.h").write_text("extern int a;\n")
        for name in ("a.c", "a.h"):
            os.utime(folder / name, (1, 1))
        self.farm = farm_of()
        self.shared_trees = []
        self.asked = []
        self.closure = CLOSURE
        self.spoken = EffectiveLocale(b"C")
        fingerprints, listings = FileCache(), DirectoryCache()
        self.compiles = Compiles(
            ManifestBuilder(fingerprints, listings),
            DependencyCache(fingerprints, listings),
            self._closure_of,
            self._farm,
            self,
            shared_trees=self,
        )

    def speech(self, closure, environment):
        assert closure is self.closure
        return self.spoken

    def read(self, closure, speech):
        return tuple(os.fsencode(self.folder) + b"/" + language + b".mo" for language in speech.languages)

    async def _closure_of(self, compiler, search_path):
        return self.closure

    def _farm(self, settings, request):
        self.asked.append((settings, request))
        return self.farm

    @property
    def object(self):
        return os.fsencode(os.path.realpath(self.folder)) + b"/a.o"

    async def order(self, *arguments, settings=SETTINGS, **changes):
        (order,) = await self.compiles.understand(request(self.folder, *arguments, **changes), settings)
        return order

    def caller(self):
        return NotingCaller(listed=b"a.o: a.c a.h\n")

    def standing(self, _offered):
        """As `Layers`, of which this bench has just those."""
        return tuple(self.shared_trees)

    def doubt(self, path):
        """As `Layers`."""
        self.shared_trees = [shared_tree for shared_tree in self.shared_trees if shared_tree.path != path]

    def roles(self, inputs):
        """Of the files in the folder, by name."""
        files = [entry for entry in inputs.entries if entry.kind is Kind.FILE]
        start = os.fsencode(self.folder) + b"/"
        return {entry.path[len(start) :]: entry.role for entry in files if entry.path.startswith(start)}

    def name_by_macro(self):
        """From now on only the compiler knows what is read."""
        (self.folder / "a.c").write_text('#define A "a.h"\n#include A\nint a;\n')
        os.utime(self.folder / "a.c", (1, 1))

    async def inputs(self, order=None, caller=None):
        return await self.compiles.inputs(caller or self.caller(), order or await self.order())

    def answers(self, *answers, need=None):
        self.channel = ServerChannel(answer=GoodServer(*answers, need=need))
        self.farm = farm_of(self.channel)

    def good(self, content=b"object", **changes):
        def answer(job, submit):
            return result(job, 3, 2, [Output(self.object, len(content), 0o644, b"d")], **changes), b"outer" + content

        return answer


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def run(body):
    return asyncio.run(body)


@pytest.mark.parametrize(
    ("arguments", "settings", "reason"),
    [
        (("gcc", "a.c", "-o", "a"), SETTINGS, "link"),
        (("gcc", "-E", "a.c"), SETTINGS, None),
        (("gcc", "-c", "conftest.c"), SETTINGS, "conftest"),
        (("gcc", "-c", "a.c"), Settings(), "no-hosts"),
        (("tcc", "-c", "a.c"), SETTINGS, "compiler"),
    ],
)
def test_what_need_not_leave_stays(bench, arguments, settings, reason):
    with pytest.raises(StaysLocal) as local:
        run(bench.order(*arguments, settings=settings))
    assert reason in {None, local.value.reason}


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        ("a.c b.c -MD", [(b"a.o", b"a.d"), (b"b.o", b"b.d")]),
        ("a.c b.s t/c.cc", [(b"a.o",), (b"b.o",), (b"c.o",)]),
        ("a.c t/a.c", None),
        ("a.c b.c -o c.o", None),
        ("a.c b.c -MD -MF d", None),
        ("a.c -", None),
    ],
)
def test_each_source_of_a_command_is_a_compile(bench, words, outputs):
    said = request(bench.folder, "gcc", "-c", *words.split())
    try:
        orders = run(bench.compiles.understand(said, SETTINGS))
    except StaysLocal as error:
        assert error.reason in {"several-sources", "standard-input"}  # noqa: PT017 - the table says which
        assert outputs is None
        return
    assert [order.plan.outputs for order in orders] == outputs


def test_an_environment_whose_meaning_is_here_stays(bench):
    with pytest.raises(StaysLocal) as local:
        run(bench.order(environment={b"GCC_EXEC_PREFIX": b"/x"}))
    assert local.value.reason == "environment"


def test_the_compiler_is_asked_once_what_it_reads(bench):
    async def body():
        bench.name_by_macro()
        order, caller = await bench.order(), bench.caller()
        first = await bench.inputs(order, caller)
        assert caller.told == [("capture", (b"/usr/bin/gcc", b"a.c", b"-M"))]
        paths = {entry.path for entry in first.entries if entry.kind is Kind.FILE}
        assert paths == {os.fsencode(bench.folder / "a.c"), os.fsencode(bench.folder / "a.h")}
        assert (await bench.inputs(order, caller)).digest == first.digest
        assert len(caller.told) == 1
        (bench.folder / "a.h").write_text("extern int b;\n")
        assert (await bench.inputs(order, caller)).digest != first.digest
        assert len(caller.told) == 2

    run(body())


def test_a_compiler_that_does_not_answer_is_asked_once(bench):
    caller = NotingCaller(preprocesses=1 << 8)

    async def body():
        await bench.inputs(await bench.order("gcc", "-m32", "-c", "a.c"), caller)

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "does-not-preprocess"
    assert caller.told == [("capture all", (b"/usr/bin/gcc", b"-m32", b"a.c", b"-M", b"-v"))]


@pytest.mark.parametrize("place", ["a.c", "forced"])
def test_a_fifo_is_left_to_the_compiler_that_is_run(bench, place):
    (bench.folder / place).unlink(missing_ok=True)
    os.mkfifo(bench.folder / place)
    caller = bench.caller()

    async def body():
        await bench.inputs(await bench.order("gcc", "-include", "forced", "-c", "a.c"), caller)

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert (local.value.reason, caller.told) == ("special", [])


def test_a_fifo_that_the_asked_compiler_has_read_is_told(bench):
    os.mkfifo(bench.folder / "b.h")

    async def body():
        bench.name_by_macro()
        await bench.inputs(await bench.order(), NotingCaller(listed=b"a.o: a.c b.h\n"))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "special-taken"


def test_the_compiler_is_not_asked_where_the_includes_tell(bench):
    async def body():
        (bench.folder / "b.h").write_text("")
        (bench.folder / "a.c").write_text('#include "a.h"\n#ifdef B\n#include "b.h"\n#endif\nint a;\n')
        caller = bench.caller()
        inputs = await bench.inputs(caller=caller)
        assert not caller.told
        roles = bench.roles(inputs)
        assert roles == {b"a.c": Role.READ, b"a.h": Role.MAY_READ, b"b.h": Role.MAY_READ}

    run(body())


def bits(inputs, *names):
    read = bytearray(len(inputs.entries) // 8 + 1)
    for index, entry in enumerate(inputs.entries):
        if entry.path.rpartition(b"/")[2] in names:
            read[index >> 3] |= 1 << (index & 7)
    return bytes(read)


def test_what_a_run_has_read_the_next_one_must_read(bench):
    async def body():
        (bench.folder / "b.h").write_text("int b;\n")
        (bench.folder / "a.c").write_text('#include "a.h"\n#ifdef B\n#include "b.h"\n#endif\nint a;\n')
        order, caller = await bench.order(), bench.caller()
        inputs = await bench.inputs(order, caller)
        bench.answers(bench.good(read=bits(inputs, b"a.c", b"a.h")))
        await bench.compiles.remote(caller, order, inputs)
        for _ in range(2):
            again = await bench.inputs(order, caller)
            roles = bench.roles(again)
            assert roles == {b"a.c": Role.READ, b"a.h": Role.READ}
        assert not caller.told

    run(body())


def test_a_server_that_hides_what_was_read_is_believed_until_the_next_run_fails(bench):
    async def body():
        order, caller = await bench.order(), bench.caller()
        inputs = await bench.inputs(order, caller)
        bench.answers(bench.good(read=bits(inputs, b"a.c")), bench.good(status=1))
        await bench.compiles.remote(caller, order, inputs)
        less = await bench.inputs(order, caller)
        assert set(bench.roles(less)) == {b"a.c"}
        assert (await bench.compiles.remote(caller, order, less)).result.status == 1
        again = await bench.inputs(order, caller)
        assert again.digest == inputs.digest

    run(body())


def test_strays_without_having_asked_are_a_reason_to_ask(bench):
    async def body():
        order, caller = await bench.order(), bench.caller()
        inputs = await bench.inputs(order, caller)
        bench.answers(bench.good(strays=(0,)), bench.good(b"second"))
        found = await bench.compiles.remote(caller, order, inputs)
        assert caller.told == [("capture", (b"/usr/bin/gcc", b"a.c", b"-M"))]
        assert found.files[0][1] == b"second"
        assert [submit.attempt for submit in bench.channel._answer.submits.values()] == [1, 2]
        assert (await bench.inputs(order, caller)).asked

    run(body())


def with_shared_trees(bench):
    """The folder ``inc``, which a.c includes from, is a shared tree."""
    (bench.folder / "inc").mkdir()
    (bench.folder / "inc/c.h").write_text("int c;\n")
    (bench.folder / "a.c").write_text('#include "a.h"\n#include <c.h>\n')
    bench.shared_trees = [SharedTree(os.path.realpath(os.fsencode(bench.folder / "inc")), b"d" * 32)]
    return bench.order("gcc", "-Iinc", "-c", "a.c", "-o", "a.o")


def test_a_compile_has_three_attempts_at_most(bench):
    """The shared tree is refused, its files then turn out to be others: each attempt says which it is."""

    async def body():
        order, caller = await with_shared_trees(bench), bench.caller()
        inputs = await bench.inputs(order, caller)
        bench.answers(lambda job, submit: Refuse(job, "layer", "not here"), bench.good(strays=(0,)), bench.good())
        await bench.compiles.remote(caller, order, inputs)
        assert [submit.attempt for submit in bench.channel._answer.submits.values()] == [1, 2, 3]

    run(body())


def test_a_shared_tree_stands_for_its_files(bench):
    async def body():
        inputs = await bench.inputs(await with_shared_trees(bench))
        (found,) = (entry for entry in inputs.entries if entry.kind is Kind.SHARED_TREE)
        assert (found.path, found.blob, found.size) == (bench.shared_trees[0].path, b"d" * 32, 0)
        assert set(bench.roles(inputs)) == {b"a.c", b"a.h"}
        (bench.folder / "inc/c.h").write_text("int cc;\n")
        assert (await bench.inputs(await bench.order("gcc", "-Iinc", "-c", "a.c", "-o", "a.o"))).digest == inputs.digest
        bench.shared_trees.clear()
        bare = await bench.inputs(await bench.order("gcc", "-Iinc", "-c", "a.c", "-o", "a.o"))
        assert set(bench.roles(bare)) == {b"a.c", b"a.h", b"inc/c.h"}

    run(body())


def test_the_time_of_day_in_a_zone_that_is_not_known_is_another_compile(bench):
    async def body():
        (bench.folder / "a.c").write_text("const char *t = __TIME__;\n")
        zone = os.environ.get("TZ")
        told = {} if zone is None else {b"TZ": zone.encode()}
        order = await bench.order(environment=told)
        inputs = await bench.inputs(order)
        assert inputs.uses_time
        assert b"SOURCE_DATE_EPOCH" in environment_of(order, inputs)
        elsewhere = await bench.order(environment={b"TZ": b"XXX+3"})
        with pytest.raises(StaysLocal) as local:
            await bench.inputs(elsewhere, NotingCaller(listed=b"a.o: a.c\n"))
        assert local.value.reason == "time"
        with pytest.raises(StaysLocal):
            environment_of(elsewhere, inputs)

    run(body())


def test_where_a_file_says_its_own_time_the_zone_travels(bench):
    async def body():
        (bench.folder / "a.c").write_text("const char *t = __TIMESTAMP__;\n")
        order = await bench.order(environment={b"TZ": b"Asia/Tokyo"})
        inputs = await bench.inputs(order)
        assert environment_of(order, inputs)[b"TZ"] == b"JST-9"
        with pytest.raises(StaysLocal):
            environment_of(await bench.order(environment={b"TZ": b"No/Such"}), inputs)
        assert b"TZ" not in environment_of(order, replace(inputs, timestamps=()))

    run(body())


def test_a_zone_that_cannot_be_told_does_the_channel_no_harm(bench):
    async def body():
        (bench.folder / "a.c").write_text("const char *t = __TIMESTAMP__;\n")
        bench.answers(bench.good())
        order = await bench.order(environment={b"TZ": b"No/Such"})
        inputs = await bench.inputs(order)
        with pytest.raises(StaysLocal) as local:
            await bench.compiles.remote(bench.caller(), order, inputs)
        assert local.value.reason == "time"
        good = await bench.order(environment={b"TZ": b"Asia/Tokyo"})
        assert (await bench.compiles.remote(bench.caller(), good, inputs)).files

    run(body())


def test_a_compile_that_writes_into_a_shared_tree_uses_none(bench):
    async def body():
        await with_shared_trees(bench)
        assert not (await bench.order("gcc", "-c", "a.c", "-o", "inc/a.o")).shared_trees
        inside = request(bench.folder / "inc", "gcc", "-c", "c.h", "-x", "c", "-o", "../c.o")
        with contextlib.suppress(StaysLocal):
            (order,) = await bench.compiles.understand(inside, SETTINGS)
            assert not order.shared_trees

    run(body())


def test_a_server_without_the_shared_tree_gets_its_files(bench):
    async def body():
        order, caller = await with_shared_trees(bench), bench.caller()
        inputs = await bench.inputs(order, caller)
        bench.answers(lambda job, submit: Refuse(job, "layer", "not here"), bench.good())
        found = await bench.compiles.remote(caller, order, inputs)
        assert found.result.status == 0
        first, second = bench.channel._answer.submits.values()
        assert (first.manifest_digest == inputs.digest) > (second.manifest_digest == inputs.digest)
        assert (first.attempt, second.attempt) == (1, 2)
        assert not bench.shared_trees  # nor is it tried again with the next compile

    run(body())


def test_other_options_or_variables_are_another_compile(bench):
    async def body():
        bench.name_by_macro()
        caller = bench.caller()
        await bench.inputs(await bench.order(), caller)
        await bench.inputs(await bench.order("gcc", "-c", "a.c", "-O2", "-o", "a.o"), caller)
        await bench.inputs(await bench.order(environment={b"CPATH": b"/nowhere"}), caller)
        await bench.inputs(await bench.order(compiler=b"/usr/local/bin/gcc"), caller)
        assert len(caller.told) == 4

    run(body())


def test_what_does_not_preprocess_is_the_compilers_to_explain(bench):
    async def body():
        bench.name_by_macro()
        return await bench.inputs(caller=NotingCaller(preprocesses=256))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "does-not-preprocess"


STDIN = ("gcc", "-x", "c", "-c", "-", "-o", "a.o")


def test_standard_input_goes_as_a_file_of_no_name(bench):
    async def body():
        source = b'#include "a.h"\nint a;\n'
        caller = NotingCaller(given=source)
        order = await bench.order(*STDIN)
        inputs = await bench.inputs(order, caller)
        assert caller.told == ["input"]
        assert inputs.entries[0].path == INPUT
        bench.answers(bench.good(), need=[(0, len(source))])
        remote = await bench.compiles.remote(caller, order, inputs)
        assert bench.channel.bulk[1] == source
        assert [file.content for file in bench.compiles.made(order, remote)] == [b"object"]

    run(body())


@pytest.mark.parametrize(("words", "given"), [(STDIN, None), ((*STDIN, "-m32"), b"int a;\n")])
def test_standard_input_that_stays(bench, words, given):
    async def body():
        return await bench.inputs(await bench.order(*words), NotingCaller(given=given))

    with pytest.raises(StaysLocal) as local:
        run(body())
    assert local.value.reason == "standard-input"


def test_where_it_looks_is_all_that_was_named(bench):
    async def body():
        (bench.folder / "inc").mkdir()
        words = ("gcc", "-Iinc", "--sysroot=/nosuch", "-include", "a.h", "-DX=1", "-c", "a.c", "-o", "a.o")
        environment = {b"CPATH": b":/cpath", b"PWD": os.fsencode(bench.folder), b"SOURCE_DATE_EPOCH": b"1"}
        inputs = await bench.inputs(await bench.order(*words, environment=environment))
        assert os.fsencode(bench.folder / "inc") in dict(inputs.directories)

    run(body())


async def remote(bench):
    order = await bench.order()
    inputs = await bench.inputs(order)
    return order, inputs, await bench.compiles.remote(bench.caller(), order, inputs)


def test_a_compile_goes_whole_and_comes_back_whole(bench):
    async def body():
        bench.answers(bench.good())
        order, inputs, found = await remote(bench)
        assert (found.stdout, found.stderr, found.server) == (b"out", b"er", "farm1:3643")
        [(output, content)] = found.files
        assert (output.path, content, found.sent) == (bench.object, b"object", len(compressed_manifest(inputs)))
        [made] = bench.compiles.made(order, found)
        assert (made.path, made.content, made.keep) == (os.fsencode(bench.folder) + b"/a.o", b"object", False)
        submit = bench.channel._answer.submits[1]
        assert submit.arguments == (b"/usr/bin/gcc", *order.request.arguments[1:])
        assert (submit.manifest, submit.manifest_digest) == (compressed_manifest(inputs), inputs.digest)

    run(body())


def test_the_files_that_lack_are_sent_and_the_manifest_only_once(bench):
    async def body():
        order = await bench.order()
        inputs = await bench.inputs(order)
        names = [os.fsencode(bench.folder / name) for name in ("a.c", "a.h")]
        files = [(index, entry.size) for index, entry in enumerate(inputs.entries) if entry.path in names]
        bench.answers(bench.good(), bench.good(), need=files)
        first = await bench.compiles.remote(bench.caller(), order, inputs)
        contents = b"".join((bench.folder / name).read_bytes() for name in ("a.c", "a.h"))
        assert bench.channel.bulk[1] == contents
        assert first.sent == len(compressed_manifest(inputs)) + len(contents)
        bench.channel._answer.need = None
        second = await bench.compiles.remote(bench.caller(), order, inputs)
        assert (bench.channel._answer.submits[2].manifest, second.sent) == (b"", 0)

    run(body())


def test_a_server_that_forgot_the_manifest_gets_it_again(bench):
    async def body():
        bench.answers(bench.good())
        order = await bench.order()
        inputs = await bench.inputs(order)
        needs = [Need(1, manifest=True, blobs=())]
        finish = bench.channel._answer.finish

        def forgetful(channel, job):
            return channel.hear(needs.pop()) if needs else finish(channel, job)

        bench.channel._answer.finish = forgetful
        found = await bench.compiles.remote(bench.caller(), order, inputs)
        assert found.sent == 2 * len(compressed_manifest(inputs))

    run(body())


def test_a_result_waits_for_its_bytes_while_files_are_still_being_sent(bench):
    """Attack on the object: the Result comes while the agent is blocked in sending, its bytes trickle in later."""

    async def body():
        order = await bench.order()
        inputs = await bench.inputs(order)
        [first, *_] = [index for index, entry in enumerate(inputs.entries) if entry.kind is Kind.FILE]
        bench.answers(need=[(first, 10**6)])
        running = asyncio.create_task(bench.compiles.remote(bench.caller(), order, inputs))
        bench.channel.room.clear()
        await bench.channel.until_bulk()
        message, content = bench.good()(1, None)
        bench.channel.hear(message)
        bench.channel.hear_bulk(1, content[:4])
        bench.channel.room.set()
        for _ in range(10):
            await asyncio.sleep(0)
        bench.channel.hear_bulk(1, content[4:])
        found = await running
        assert found.files[0][1] == b"object"

    run(body())


@pytest.mark.parametrize("index", [-1, 10**6, "directory"])
def test_a_server_gets_only_files_of_the_manifest(bench, index):
    """Attack: the server asks for what is not there, by a number before, behind or beside the files."""

    async def body():
        order = await bench.order()
        inputs = await bench.inputs(order)
        if index == "directory":
            wanted = next(number for number, entry in enumerate(inputs.entries) if entry.kind is not Kind.FILE)
        else:
            wanted = index
        bench.answers(need=[(wanted, 1)])
        with pytest.raises(ChannelError, match="not in the manifest"):
            await bench.compiles.remote(bench.caller(), order, inputs)
        assert isinstance(bench.channel.said[-1], Cancel)
        assert not bench.channel.bulk

    run(body())


@pytest.mark.parametrize("change", ["content", "longer", "gone", "fifo", "link"])
def test_a_file_that_changes_while_it_is_sent_stays_here(bench, change):
    async def body():
        order = await bench.order()
        inputs = await bench.inputs(order)
        header = bench.folder / "a.h"
        secret = bench.folder / "secret"
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
        bench.answers(need=[(index, 14)])
        with pytest.raises(StaysLocal) as local:
            await bench.compiles.remote(bench.caller(), order, inputs)
        assert local.value.reason == "changed"
        assert not bench.channel.bulk

    run(body())


def test_a_refusal_names_its_code(bench):
    async def body():
        bench.answers(lambda job, _: Refuse(job, "draining", "no"))
        with pytest.raises(Refused) as refused:
            await remote(bench)
        assert refused.value.code == "draining"

    run(body())


def test_a_server_that_others_fill_is_asked_for_a_slot(bench):
    """And for a while before anything is sent."""

    async def body():
        bench.answers(lambda job, _: Refuse(job, "busy", "ask"), bench.good(), bench.good())
        for expected in ([Submit, Ask, Submit], [Ask, Submit]):
            said = len(bench.channel.said)
            assert (await remote(bench))[2].result.status == 0
            assert [type(each) for each in bench.channel.said[said:] if isinstance(each, Ask | Submit)] == expected

    run(body())


@pytest.mark.parametrize("code", ["tree", "option", "limit"])
def test_a_refusal_of_this_one_compile_is_a_reason_to_stay(bench, code):
    async def body():
        bench.answers(lambda job, _: Refuse(job, code, "no"))
        with pytest.raises(StaysLocal) as local:
            await remote(bench)
        assert local.value.reason == f"refused-{code}"

    run(body())


def test_a_server_that_answers_with_something_else(bench):
    async def body():
        bench.answers()

        def odd(channel, job):
            channel.listener._jobs[job].put(Wait(job, 1))

        bench.channel._answer.finish = odd
        with pytest.raises(ChannelError, match="something else"):
            await remote(bench)

    run(body())


def test_a_lost_server(bench):
    async def body():
        bench.answers()
        bench.channel._answer.finish = lambda channel, job: channel.lose(ChannelError("reset"))
        with pytest.raises(ChannelError, match="reset"):
            await remote(bench)

    run(body())


def outputs(*paths):
    listed = tuple((Output(path, 1, 0o644, b"d"), b"x") for path in paths)
    return Remote(result(1, outputs=[output for output, _ in listed]), b"", b"", listed, "farm1", 0)


@pytest.mark.parametrize(
    "extra",
    [
        b"/home/alice/.bashrc",
        b"/etc/cron.d/x",
        b"a.o",
        b"../a.o",
        b"",
        b"{cwd}/b.o",
        b"{cwd}/../a.o",
        b"{cwd}/a.o/../a.o",
        b"{cwd}/a.o",
    ],
)
def test_an_output_that_nobody_asked_for_is_refused(bench, extra):
    """Attack: a server names a file of the user's as an output, spells the object otherwise, or names it twice."""

    async def body():
        order = await bench.order()
        path = extra.replace(b"{cwd}", bench.object.rpartition(b"/")[0])
        with pytest.raises(StaysLocal) as local:
            bench.compiles.made(order, outputs(bench.object, path))
        assert local.value.reason == "disagreement"

    run(body())


@pytest.mark.parametrize(
    ("system", "said", "taken"),
    [
        (True, b"cc1: Warnung: x: No such file or directory\n", False),
        (True, b"a.c:1:1: Warnung: x\n", True),
        (False, b"cc1: warning: x: No such file or directory\n", True),
    ],
)
def test_what_the_system_says_in_another_language_is_said_here(bench, system, said, taken):
    async def body():
        bench.spoken = EffectiveLocale(b"C.UTF-8", (), system)
        made = replace(outputs(bench.object), stderr=said)
        order = await bench.order()
        if taken:
            assert bench.compiles.made(order, made)
            return
        with pytest.raises(StaysLocal) as local:
            bench.compiles.made(order, made)
        assert local.value.reason == "locale"

    run(body())


def test_catalogues_of_a_language_are_looked_for(bench):
    async def body():
        (bench.folder / "de.mo").write_text("messages")
        bench.spoken = EffectiveLocale(b"C.UTF-8", (b"de", b"fr"))
        order = await bench.order()
        assert order.environment.variables[b"LANGUAGE"] == b"de:fr"
        inputs = await bench.inputs(order, bench.caller())
        assert os.fsencode(bench.folder.resolve() / "de.mo") in {entry.path for entry in inputs.entries}
        assert any(b"fr.mo" in watch.names for watch in inputs.watches)

    run(body())


def test_the_compiler_says_which_files_are_quoted(bench):
    class Preprocessing(NotingCaller):
        async def capture(self, arguments):
            if arguments[-1] == b"-E":
                self.told.append(("asked", arguments))
                return 0, b'# 1 "a.c"\n# 7 "g.y"\nint a;\n'
            return await super().capture(arguments)

    async def body():
        (bench.folder / "a.c").write_text('#include "a.h"\n#line 7 MACRO\nint a;\n')
        (bench.folder / "g.y").write_text("quoted\n")
        caller = Preprocessing(listed=b"a.o: a.c a.h\n")
        inputs = await bench.inputs(caller=caller)
        assert bench.roles(inputs)[b"g.y"] is Role.MAY_READ
        assert caller.told[-1][1] == (b"/usr/bin/gcc", b"a.c", b"-E")
        assert (await bench.inputs(caller=NotingCaller())).digest == inputs.digest

    run(body())


def test_assembly_may_be_printed(bench):
    async def body():
        order = await bench.order("gcc", "-S", "a.c", "-o", "-")
        assert order.plan.outputs == ()
        assert bench.compiles.made(order, replace(outputs(), stdout=b"nop")) == ()
        with pytest.raises(StaysLocal, match="made no object"):
            bench.compiles.made(order, outputs())

    run(body())


def test_a_result_without_an_object_is_none(bench):
    async def body():
        with pytest.raises(StaysLocal, match="made no object"):
            bench.compiles.made(await bench.order(), outputs())

    run(body())


def test_a_run_that_read_other_files_is_none_and_is_not_remembered(bench):
    async def body():
        bench.name_by_macro()
        caller = bench.caller()
        order = await bench.order()
        await bench.inputs(order, caller)
        strayed = replace(outputs(bench.object), result=result(1, strays=(0,)))
        with pytest.raises(StaysLocal, match="read other files"):
            bench.compiles.made(order, strayed)
        await bench.inputs(order, caller)
        assert len(caller.told) == 2

    run(body())


def test_outputs_lie_where_their_directory_really_is(bench):
    async def body():
        (bench.folder / "real").mkdir()
        (bench.folder / "alias").symlink_to("real")
        order = await bench.order("gcc", "-MD", "-c", "a.c", "-o", "alias/a.o")
        real = bench.object.replace(b"/a.o", b"/real")
        made = bench.compiles.made(order, outputs(real + b"/a.o", real + b"/a.d"))
        assert [(file.path.rpartition(b"/")[2], file.keep) for file in made] == [(b"a.o", False), (b"a.d", True)]
        assert all(b"/alias/" in file.path for file in made)

    run(body())


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("gcc -c a.c -MD -g -gsplit-dwarf", {b"a.d"}),
        ("gcc -S a.c", {b"a.s"}),
        ("clang -c a.c -MD -g -gsplit-dwarf", {b"a.d", b"a.dwo"}),
        ("clang -S a.c", set()),
        ("clang -c a.s", {b"a.o"}),
    ],
)
def test_which_outputs_are_written_into_the_file_that_is_there(bench, words, kept):
    async def body():
        (bench.folder / "a.s").write_text("nop\n")
        bench.closure = replace(CLOSURE, family=compile_plan.family_of(words.split()[0]))
        order = await bench.order(*words.split())
        folder = bench.object.removesuffix(b"a.o")
        made = bench.compiles.made(order, outputs(*(folder + path for path in order.plan.outputs)))
        assert {file.path.rpartition(b"/")[2] for file in made if file.keep is Keep.ALWAYS} == kept
        assert {file.keep for file in made} <= {Keep.ALWAYS, Keep.NEVER if "clang" in words else Keep.IF_EMPTY}

    run(body())


def test_a_date_means_nothing_to_clang(bench):
    (bench.folder / "a.c").write_text("char *d = __DATE__;\n")
    os.utime(bench.folder / "a.c", (1, 1))

    async def body(compiler):
        bench.closure = replace(CLOSURE, family=compile_plan.family_of(compiler))
        environment = {b"SOURCE_DATE_EPOCH": b"1"}
        return await bench.inputs(await bench.order(compiler, "-c", "a.c", environment=environment))

    run(body("gcc"))
    with pytest.raises(StaysLocal, match="says '__DATE__'"):
        run(body("clang"))


def test_places_where_only_the_compiler_does_the_right_thing(bench):
    async def body():
        os.mkfifo(bench.folder / "pipe")
        (bench.folder / "folder").mkdir()
        for output in ("pipe", "folder", "/dev/null", "missing/a.o"):
            with pytest.raises(StaysLocal) as local:
                check_places(await bench.order("gcc", "-c", "a.c", "-o", output))
            assert local.value.reason == "output"
        check_places(await bench.order())
        (bench.folder / "a.o").write_bytes(b"old")
        check_places(await bench.order())

    run(body())


def test_the_local_compilers_end_is_the_launchers(bench):
    async def body():
        order, caller = await bench.order(), NotingCaller(spawns=256)
        assert await judge(caller, order) == 256
        end(caller, 256)
        end(caller, 11)
        assert caller.told == [("spawn", (b"/usr/bin/gcc", b"-c", b"a.c", b"-o", b"a.o")), ("exit", 1), Die(11)]

    run(body())


def test_the_bench_is_a_real_compile(bench):
    gcc = shutil.which("gcc")
    listed = subprocess.run([gcc, "-M", "a.c"], cwd=bench.folder, capture_output=True, check=True).stdout

    async def body():
        inputs = await bench.inputs(caller=NotingCaller(listed=listed))
        assert inputs.size < limits.JOB_SOURCE

    run(body())

"""The runner with layers: compiles that name directory trees in the place of their files, and attacks by these."""

# ruff: noqa: ASYNC221, ASYNC230 - these loops have nothing else to do

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securecc.compiler.tree import shared_tree
from securecc.compiler.tree.manifest_check import check_manifest
from securecc.model import limits
from securecc.model.manifest import Entry, Kind, Manifest, Role
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import WorkReady
from tests.runnerside import Content, Runner, from_disk, headers, listed
from tests.waiting import CEILING_S

C = b"#include <stdio.h>\n#include <stddef.h>\nint main(void) { return puts(__FILE__) + sizeof(max_align_t); }\n"
CPP = b"#include <vector>\n#include <string>\nint f(std::vector<std::string> &v) { return v.size(); }\n"
GCC = b"/usr/lib/gcc/x86_64-linux-gnu/12"


@pytest.fixture(scope="module", params=["jail", "bubblewrap"])
def way(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A directory tree of a site's, and the intruder beside it, where the runner's own user can read them."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("bin", "release", "release/sub"):
            os.mkdir(f"{folder}/{name}", 0o755)
        source = os.path.join(os.path.dirname(__file__), "..", "intruder.c")
        subprocess.run(["gcc", "-static", "-O1", "-o", folder + "/bin/intruder", source], check=True)
        subprocess.run(["cp", folder + "/bin/intruder", folder + "/release/program"], check=True)
        for name in ("release/s.h", "release/sub/t.h"):
            with open(f"{folder}/{name}", "w") as file:
                file.write("#define SITE 3\n")
        yield folder


def served(body: Callable[[Runner], Awaitable[None]], way: str, **config: Any) -> str:
    async def whole() -> str:
        async with Runner(sandbox=way, **config) as runner:
            await body(runner)
            log = runner.said()
        assert "Traceback" not in log
        return log

    return asyncio.run(whole())


def named(offered: SharedTree) -> Entry:
    return Entry(offered.path, Kind.SHARED_TREE, offered.digest, mode=0o755, role=Role.PRESENT)


def with_shared_trees(runner: Runner) -> dict[bytes, Entry]:
    """What a manifest says of all shared trees of the runner's."""
    return {offered.path: named(offered) for offered in runner.ready.trees}


def test_objects_are_those_of_a_local_compile_and_of_one_by_files(way: str, tmp_path: Path) -> None:
    sources = {"a.c": (C, "gcc"), "b.cc": (CPP, "g++")}

    async def body(runner: Runner) -> None:
        assert {offered.path for offered in runner.ready.trees} >= {b"/usr/include", GCC + b"/include"}
        for offered in runner.ready.trees:
            assert offered.digest == shared_tree.digest_of(shared_tree.entries(offered.path))
        cwd = os.fsencode(tmp_path)
        jobs = []
        for name, (text, compiler) in sources.items():
            (tmp_path / name).write_bytes(text)
            command = [compiler, "-g", "-O2", "-MD", "-c", name]
            subprocess.run(command, cwd=tmp_path, check=True)
            files = from_disk(headers(command, cwd), cwd)
            files |= {b"/usr/include": None, b"/usr/local/include": None, b"/usr/include/x86_64-linux-gnu": None}
            whole = with_shared_trees(runner) | {
                cwd: None,
                cwd + b"/" + name.encode(): files[cwd + b"/" + name.encode()],
            }
            jobs += [runner.run([w.encode() for w in command], tree, cwd=cwd) for tree in (whole, files)]
        for number, outcome in enumerate(await asyncio.gather(*jobs)):
            assert (outcome.report.status, outcome.report.failure, outcome.stderr) == (0, "", b""), number
            assert outcome.report.strays == ()
            assert len(outcome.made) == 2
            for path, content in outcome.made.items():
                with open(path, "rb") as local:
                    assert content == local.read()

    served(body, way, shared_trees=None)


COMPILERS = ("/usr/bin/gcc", "/usr/bin/clang", "/usr/bin/aarch64-linux-gnu-gcc")


def test_each_compiler_may_have_the_shared_trees_of_all_and_compiles_with_them() -> None:
    """By the front's rules and by the runner's."""
    there = [path for path in COMPILERS if os.path.exists(path)]

    async def body(runner: Runner) -> None:
        tree = with_shared_trees(runner) | {b"/home/alice/a.cc": CPP}
        entries = tuple(listed(tree)[0])
        for offer, compiler in zip(runner.ready.toolchains, there, strict=True):
            own, includes = frozenset(offer.directories), frozenset(offer.include_directories)
            checked = check_manifest(Manifest(entries), own, includes, b"/home/alice", [b"a.o"])
            assert [entry.path for entry in checked.shared_trees] == [known.path for known in runner.ready.trees]
            command = [compiler.encode(), b"-x", b"c++", b"-c", b"a.cc"]
            outcome = await runner.run(command, tree, toolchain=offer.digest)
            assert (outcome.report.status, outcome.report.failure, outcome.stderr) == (0, "", b"")

    assert "not offered" not in served(body, "jail", compilers=there, shared_trees=None)


def test_an_error_shows_the_lines_of_a_shared_trees_header(way: str, site: str) -> None:
    async def body(runner: Runner) -> None:
        release = os.fsencode(site) + b"/release"
        text = b'#include "sub/t.h"\n#define SITE 4\nint x;\n'
        tree = with_shared_trees(runner) | {b"/home/alice/a.c": text, b"/usr/include": None}
        outcome = await runner.run([b"gcc", b"-Werror", b"-c", b"-I" + release, b"a.c"], tree)
        assert outcome.report.status == 1
        assert b"sub/t.h:1: note: this is the location" in outcome.stderr
        assert b"    1 | #define SITE 3\n" in outcome.stderr

    served(body, way, shared_trees=[site + "/release"])


def test_nothing_in_a_shared_tree_can_be_changed_or_run(way: str, site: str) -> None:
    program, release = os.fsencode(site) + b"/bin/intruder", os.fsencode(site) + b"/release"
    words = []
    for word in (b"write", b"unlink", b"chmod", b"append", b"link"):
        words += [word, release + b"/s.h"]
    words += [b"create", release + b"/new.h", b"create", release + b"/sub/new.h", b"exec", release + b"/program"]
    expected = [b"EROFS", b"EROFS", b"EROFS", b"EROFS", b"EXDEV", b"EROFS", b"EROFS", b"EACCES"]

    async def body(runner: Runner) -> None:
        for _ in range(2):
            outcome = await runner.run([program, *words], with_shared_trees(runner))
            assert [line.rpartition(b"=")[2] for line in outcome.stdout.splitlines()] == expected
            assert outcome.made == {}
            assert outcome.report.failure == ""

    served(body, way, compilers=[os.fsdecode(program)], shared_trees=[site + "/release"])


def test_only_a_job_that_names_a_shared_tree_sees_it(way: str, site: str) -> None:
    program, path = os.fsencode(site) + b"/bin/intruder", os.fsencode(site) + b"/release/s.h"

    async def body(runner: Runner) -> None:
        words = [program, b"read", path, b"read", b"/shared-trees", b"read", b"/shared-trees/0"]
        with_it, without = await asyncio.gather(runner.run(words, with_shared_trees(runner)), runner.run(words))
        seen = [[line.rpartition(b"=")[2] for line in outcome.stdout.splitlines()] for outcome in (with_it, without)]
        assert seen == [[b"ok", b"ENOENT", b"ENOENT"], [b"ENOENT"] * 3]

    served(body, way, compilers=[os.fsdecode(program)], shared_trees=[site + "/release"])


def test_a_shared_tree_deep_in_a_place_of_the_clients_and_outputs_beside_it(way: str) -> None:
    """``/usr/src/x/include``: the toolchain's ``/usr``, the client's ``/usr/src``, a shared tree, one over another."""
    with tempfile.TemporaryDirectory(dir="/usr/src") as folder:
        os.chmod(folder, 0o755)
        os.mkdir(folder + "/include")
        with open(folder + "/include/s.h", "w") as file:
            file.write("int s;\n")
        cwd = os.fsencode(folder)

        async def body(runner: Runner) -> None:
            tree = with_shared_trees(runner) | {cwd + b"/a.c": b'#include "s.h"\n', b"/usr/include": None}
            outcome = await runner.run([b"gcc", b"-Iinclude", b"-MD", b"-c", b"a.c"], tree, cwd=cwd)
            assert (outcome.report.status, outcome.report.failure, outcome.stderr) == (0, "", b"")
            assert set(outcome.made) == {cwd + b"/a.o", cwd + b"/a.d"}
            assert b"include/s.h" in outcome.made[cwd + b"/a.d"]

        served(body, way, shared_trees=[folder + "/include"])


def test_shared_trees_that_no_tree_may_have(site: str) -> None:
    async def body(runner: Runner) -> None:
        [offered] = runner.ready.trees
        path = offered.path
        attacks: dict[str, dict[bytes, Content]] = {
            "another digest": {path: named(SharedTree(path, b"d" * 32))},
            "a short digest": {path: named(SharedTree(path, b"d"))},
            "another path": {path + b"-2": named(SharedTree(path + b"-2", offered.digest))},
            "over programs": {b"/usr/bin": named(SharedTree(b"/usr/bin", offered.digest))},
            "over the tools": {GCC: named(SharedTree(GCC, offered.digest))},
            "over all": {b"/": named(SharedTree(b"/", offered.digest))},
            "over etc": {b"/etc": named(SharedTree(b"/etc", offered.digest))},
            "a file in it": {path: named(offered), path + b"/new.h": b"x"},
            "a directory in it": {path: named(offered), path + b"/new": None},
            "a link in it": {path: named(offered), path + b"/new": Entry(b"", Kind.LINK, b"/home")},
            "a shared tree in it": {path: named(offered), path + b"/sub": named(offered)},
            "below a link": {os.path.dirname(path): Entry(b"", Kind.LINK, b"/home"), path: named(offered)},
            "below a file": {os.path.dirname(path): b"x", path: named(offered)},
        }
        for name, tree in attacks.items():
            outcome = await runner.run([b"gcc", b"-v"], tree)
            assert outcome.report.failure, name
        for kind in (named(offered), Entry(path, Kind.DIRECTORY, mode=0o755), Entry(path, Kind.LINK, b"/home")):
            for pair in ([named(offered), kind], [kind, named(offered)]):
                outcome = await asyncio.wait_for(runner.post([b"gcc", b"-v"], pair, [None, None], cwd=b"/"), CEILING_S)
                assert outcome.report.failure, kind
        outcome = await runner.run([b"gcc", b"-v"], with_shared_trees(runner))
        assert (outcome.report.status, outcome.report.failure) == (0, "")

    served(body, "jail", shared_trees=[site + "/release"])


def test_the_working_directory_in_a_shared_tree_is_of_no_use(site: str) -> None:
    program, release = os.fsencode(site) + b"/bin/intruder", os.fsencode(site) + b"/release"

    async def body(runner: Runner) -> None:
        entries, contents = listed(with_shared_trees(runner))
        words = [program, b"create", b"x.o", b"create", release + b"/x.o"]
        outcome = await asyncio.wait_for(runner.post(words, entries, contents, cwd=release), CEILING_S)
        assert outcome.stdout.count(b"EROFS") == 2
        assert outcome.made == {}

    served(body, "jail", compilers=[os.fsdecode(program)], shared_trees=[site + "/release"])


def test_what_is_no_shared_tree_is_in_the_log(site: str) -> None:
    os.mkdir(site + "/odd")
    os.mkfifo(site + "/odd/fifo")

    async def body(runner: Runner) -> None:
        assert [offered.path for offered in runner.ready.trees] == [os.fsencode(site) + b"/release"]

    log = served(body, "jail", shared_trees=[site + "/odd", site + "/release", "/usr", "/nowhere/at/all"])
    for path in (site + "/odd", "/usr", "/nowhere/at/all"):
        assert f"{path} is not offered as a shared tree" in log


def test_a_store_that_is_too_small_keeps_the_compilers(site: str) -> None:
    os.mkdir(site + "/large")
    with open(site + "/large/hole", "wb") as file:
        file.truncate(limits.BLOB)

    async def body(runner: Runner) -> None:
        assert runner.ready.trees == ()
        outcome = await runner.run([b"/usr/bin/as", b"--version"])
        assert outcome.report.status == 0

    store = {"compilers": ["/usr/bin/as"], "store": limits.BLOB // 2}
    assert "no room" in served(body, "jail", shared_trees=[site + "/large"], **store)


def test_a_runner_that_finds_the_same_shared_trees_is_not_needed(site: str) -> None:
    def ready(**config: Any) -> WorkReady:
        found: list[WorkReady] = []

        async def body(runner: Runner) -> None:
            found.append(runner.ready)

        served(body, "jail", **config)
        return found[0]

    first = ready(shared_trees=[site + "/release"])
    have = [offer.whole.hex() for offer in first.toolchains]
    trees = msgspec.json.decode(msgspec.json.encode(first.trees))
    assert ready(shared_trees=[site + "/release"], have=have, trees=trees).toolchains == ()
    assert ready(shared_trees=[], have=have, trees=trees).trees == ()
    assert ready(shared_trees=[site + "/release"], have=have).trees == first.trees

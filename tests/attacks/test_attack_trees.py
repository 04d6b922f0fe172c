"""Trees of files that must not be built: paths that leave them, that lead through links, that stand among the
toolchain's own files. And other people's files, which a digest alone does not give.
"""

import asyncio

import pytest
from raw import CWD, PREDEF, SMALL, SOURCE, Raw, blob, file, folder, link

from securecc.words.messages import Need, Refuse, Supply

LIB = b"/usr/lib/gcc/x86_64-linux-gnu/12"
DEEP = b"/d" * 128
PRELOAD = b"/home/mallory/x.so\n"
BASE = (file(PREDEF, b"\n"), file(SOURCE, SMALL[SOURCE]))

# What stands in the manifest beside a good source and the header that gcc always reads.
TREES = {
    "symlink, then a file below it": (link(CWD + b"/d", b"/etc"), file(CWD + b"/d/passwd")),
    "symlink to a directory, then a file below": (folder(CWD + b"/r"), link(CWD + b"/s", b"r"), file(CWD + b"/s/x")),
    "the same path twice": (file(CWD + b"/x", b"1"), file(CWD + b"/x", b"2")),
    "a file and a directory of one path": (file(CWD + b"/x"), folder(CWD + b"/x")),
    "a file used as a directory": (file(CWD + b"/x"), file(CWD + b"/x/y")),
    "a source used as a directory": (file(SOURCE + b"/y"),),
    "dot dot": (file(CWD + b"/../../etc/passwd"),),
    "dot dot at the end": (file(CWD + b"/.."),),
    "dot": (file(CWD + b"/./x"),),
    "two slashes": (file(CWD + b"//x"),),
    "a slash at the end": (file(CWD + b"/x/"),),
    "not absolute": (file(b"home/mallory/x"),),
    "empty": (file(b""),),
    "the root": (file(b"/"),),
    "255 components": (file(b"/d" * 255 + b"/x"),),
    "a component of 256": (file(CWD + b"/" + b"x" * 256),),
    "5,000 bytes": (file(b"/" + b"/".join([b"x" * 200] * 25)),),
    "a newline": (file(CWD + b"/x\ny"),),
    "an escape": (file(CWD + b"/\x1b[2J"),),
    "NUL": (file(CWD + b"/x\0y"),),
    "ld.so.preload": (file(b"/etc/ld.so.preload", PRELOAD),),
    "ld.so.cache": (file(b"/etc/ld.so.cache"),),
    "passwd": (file(b"/etc/passwd"),),
    "a device": (file(b"/dev/zero"),),
    "null": (file(b"/dev/null"),),
    "proc": (file(b"/proc/self/exe"),),
    "sys": (file(b"/sys/x"),),
    "our own": (file(b"/.securecc/tmp/x"),),
    "as beside cc1": (file(LIB + b"/as"),),
    "cc1": (file(LIB + b"/cc1"),),
    "specs": (file(LIB + b"/specs", b"*cc1:\n"),),
    "specs above": (file(b"/usr/lib/gcc/x86_64-linux-gnu/specs"),),
    "specs of the target": (file(b"/usr/x86_64-linux-gnu/lib/specs"),),
    "as of the target": (file(b"/usr/x86_64-linux-gnu/bin/as"),),
    "as among programs": (file(b"/usr/bin/as"),),
    "a new program": (file(b"/usr/bin/x86_64-linux-gnu-as"),),
    "local programs": (file(b"/usr/local/bin/as"),),
    "a program by another spelling": (file(b"/bin/as"),),
    "libc": (file(b"/usr/lib/x86_64-linux-gnu/libc.so.6"),),
    "glibc-hwcaps": (file(b"/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1"),),
    "hwcaps by the link": (file(b"/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libc.so.6"),),
    "gconv": (file(b"/usr/lib/x86_64-linux-gnu/gconv/gconv-modules"),),
    "loader": (file(b"/lib64/ld-linux-x86-64.so.2"),),
    "plugin directory": (file(LIB + b"/plugin/x.so"),),
    "locale": (file(b"/usr/share/locale/locale.alias"),),
    "lib as a file": (file(b"/lib"),),
    "usr as a file": (file(b"/usr"),),
    "lib as another link": (link(b"/lib", b"/home/mallory"),),
    "usr as a link": (link(b"/usr", b"/home/mallory"),),
    "a link into the toolchain's place": (link(LIB + b"/as", CWD + b"/a.c"),),
    "a link to etc": (link(CWD + b"/x", b"/etc/passwd"),),
    "a link to proc": (link(CWD + b"/x", b"/proc/1/root"),),
    "a link to a device": (link(CWD + b"/x", b"/dev/zero"),),
    "a link above the root": (link(CWD + b"/x", b"../../../../../../etc/shadow"),),
    "a link to itself": (link(CWD + b"/x", b"x"),),
    "links in a circle": (link(CWD + b"/x", b"y"), link(CWD + b"/y", b"x")),
    "an empty link": (link(CWD + b"/x", b""),),
    "a link with a newline": (link(CWD + b"/x", b"a\nb"),),
    "an output that is read": (file(CWD + b"/a.o"),),
    "an output that is a link": (link(CWD + b"/a.o", b"/tmp/owned"),),
    "a short digest": (file(CWD + b"/x", blob=b"short"),),
    "a negative size": (file(CWD + b"/x", size=-1),),
    "a size over the limit": (file(CWD + b"/x", size=1 << 40),),
    "set-user-id": (file(CWD + b"/x", mode=0o4755),),
    "a time beyond all": (file(CWD + b"/x", mtime_ns=1 << 63 - 1),),
    "two contents of one inode": (file(CWD + b"/x", b"1", inode=7), file(CWD + b"/y", b"2", inode=7)),
    "a directory where none may be": (folder(b"/etc/x"),),
    "too many entries": tuple(file(CWD + b"/%05d" % number) for number in range(16385)),
    "more than all sources may be": tuple(file(CWD + b"/%d" % n, b"%d" % n, size=64 << 20) for n in range(5)),
}  # fmt: skip

WORKING_DIRECTORIES = [b"/etc", b"/proc/self", b"", b"relative", b"/home/../etc", b"/usr/bin", LIB, b"/" + b"x" * 256]
OUTPUTS = [b"/etc/x.o", b"../../etc/x.o", b"/usr/bin/as", LIB + b"/cc1", b"/dev/null/x", b"a\nb.o", b"/proc/self/mem"]
COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def by_path(entries):
    """Sorted as a manifest must be; what is equal keeps its order."""
    return sorted(entries, key=lambda entry: entry.path)


def attack(farm, entries, arguments=COMPILE, **fields):
    async def go():
        async with Raw(farm) as raw:
            return await raw.run(arguments, {b"": b"", **SMALL, b"1": b"1", b"2": b"2"}, entries, **fields)

    return asyncio.run(go())


def refused_once(health, end):
    assert (end.how, end.code) in {("refused", "tree"), ("refused", "limit")}, end
    (record,) = health.records(kind="job-refused")
    assert record["code"] == end.code
    assert all(ord(character) >= 32 for character in record["reason"])
    assert health.records(kind="job-start") == []


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_refused(farm, health, name):
    refused_once(health, attack(farm, by_path((*BASE, *TREES[name]))))


def test_entries_out_of_order_are_refused(farm, health):
    refused_once(health, attack(farm, by_path(BASE)[::-1]))


@pytest.mark.parametrize("cwd", WORKING_DIRECTORIES)
def test_a_working_directory_is_refused(farm, health, cwd):
    end = attack(farm, by_path(BASE), (b"-c", SOURCE, b"-o", CWD + b"/a.o"), cwd=cwd)
    refused_once(health, end)


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_is_refused(farm, health, output):
    end = attack(farm, by_path(BASE), (b"-c", b"a.c", b"-o", output))
    assert end.how == "refused", end
    assert end.code in {"tree", "option"}
    assert health.records(kind="job-start") == []


SECRET = b'const char *secret = "of bob\'s";\n'


def test_a_digest_alone_gives_nobody_anothers_file(farm, health):
    """bob has uploaded it; to alice the server says that it lacks it, as it does of one that nobody has."""

    async def go():
        async with Raw(farm.as_principal("bob")) as bob:
            assert (await bob.run(contents={SOURCE: SECRET})).how == "result"
            entries = by_path((file(PREDEF, b"\n"), file(SOURCE, SECRET)))
            nobodys = by_path((file(PREDEF, b"\n"), file(SOURCE, b"nobody has this, really")))
            async with Raw(farm) as alice:
                for listed in (entries, nobodys):
                    job = await alice.invited()
                    alice.tell(alice.submission(job, listed, COMPILE))
                    need = await alice.hear_of(job)
                    assert isinstance(need, Need)
                    assert SOURCE in [listed[index].path for index in need.blobs]
                    alice.tell(Supply(job))
                    lacking = [b"x" * listed[index].size for index in need.blobs]
                    for content in lacking:
                        alice.bulk(job, content)
                    refused = await alice.hear_of(job)
                    assert isinstance(refused, Refuse), refused
            async with Raw(farm.as_principal("bob")) as again:
                end = await again.run(contents={SOURCE: SECRET})
                assert b"of bob's" in next(iter(end.files.values()))

    asyncio.run(go())
    assert health.records(kind="job-start", principal="alice@EXAMPLE.COM") == []


def test_a_manifest_is_known_on_its_own_channel_only(farm):
    async def go():
        bob = farm.as_principal("bob")
        entries = by_path(BASE)
        async with Raw(bob) as first, Raw(farm) as second:
            assert (await first.run()).how == "result"
            job = await second.invited()
            second.tell(second.submission(job, entries, COMPILE, manifest=b""))
            need = await second.hear_of(job)
            assert isinstance(need, Need)
            assert need.manifest
            assert need.blobs == ()

    asyncio.run(go())


def test_nobody_poisons_anothers_blob(farm):
    """mallory's bytes under the digest of a header: refused, and everybody else gets the real ones."""
    header, real, false = CWD + b"/h.h", b"#define VALUE 1234567\n", b"#define VALUE 7654321\n"
    source = b'#include "h.h"\nint value = VALUE;\n'

    async def go():
        entries = by_path((file(PREDEF, b"\n"), file(SOURCE, source), file(header, real)))
        async with Raw(farm.as_principal("bob")) as raw:
            job = await raw.invited()
            raw.tell(raw.submission(job, entries, COMPILE))
            end = await raw.finish(job, entries, {blob(b"\n"): b"\n", blob(source): source, blob(real): false})
            assert end.how == "refused"
        async with Raw(farm) as raw:
            end = await raw.run(contents={SOURCE: source, header: real})
            assert (1234567).to_bytes(4, "little") in end.files[CWD + b"/a.o"]

    asyncio.run(go())


def test_what_one_job_leaves_in_its_tree_no_other_sees(farm):
    """A compile that includes what another has just sent, by the same path, finds nothing."""

    async def go():
        async with Raw(farm) as alice, Raw(farm.as_principal("bob")) as bob:
            private = CWD + b"/private.h"
            assert (await alice.run(contents={**SMALL, private: b"int alices;\n"})).how == "result"
            end = await bob.run(contents={SOURCE: b'#include "private.h"\n'})
            assert end.result.status == 1
            assert "private.h: No such file" in end.errors

    asyncio.run(go())


@pytest.mark.parametrize(
    "path", [b"/etc/passwd", b"/etc/hostname", b"/proc/self/environ", b"/root/.bashrc", b"/dev/zero", b"/sys/kernel"]
)
def test_a_source_sees_nothing_of_the_machine(farm, path):
    """By #include, by the assembler, and by a line marker with an error, which makes gcc show the line it names."""
    texts = (
        b'#include "%s"\n' % path,
        b'__asm__(".incbin \\"%s\\"");\n' % path,
        b'# 1 "%s"\nint x = nothing;\n' % path,
    )

    async def go():
        ends = []
        async with Raw(farm) as raw:
            for text in texts:
                ends.append(await raw.run(contents={SOURCE: text}))
        return ends

    for end in asyncio.run(go()):
        assert end.how in {"result", "refused"}
        if end.how == "result":
            assert end.result.status != 0
            assert end.result.limit == ""
            assert len(end.content) < 4096
            assert "root:" not in end.errors

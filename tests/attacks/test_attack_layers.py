"""Directory trees of the server's, named by somebody who should not: under another name, at another place, over what
is the toolchain's, with files of one's own below.
"""

import asyncio

import pytest
from raw import CWD, SMALL, SOURCE, Raw, blob, file, folder, link

from securecc.words.manifest import Entry, Kind, Role

INCLUDE = b"/usr/include"
LIB = b"/usr/lib/gcc/x86_64-linux-gnu/12"
COMPILE = (b"-c", b"a.c", b"-o", b"a.o")
GOOD = file(SOURCE, SMALL[SOURCE])


def layer(path, digest=b"", **fields):
    return Entry(path, Kind.LAYER, blob=digest, **{"mode": 0o755, "role": Role.PRESENT, **fields})


def offered(raw):
    return {known.path: known.digest for known in raw.welcome.layers}


def attack(farm, made, arguments=COMPILE, contents=SMALL, **fields):
    """`made` gets the digest of the server's /usr/include, and says what stands beside a good source."""

    async def go():
        async with Raw(farm) as raw:
            entries = sorted((GOOD, *made(offered(raw)[INCLUDE])), key=lambda entry: entry.path)
            return await raw.run(arguments, {b"": b"", **contents}, entries, **fields)

    return asyncio.run(go())


def refused_once(health, end, code):
    assert (end.how, end.code) == ("refused", code), end
    (record,) = health.records(kind="job-refused")
    assert record["code"] == code
    assert all(ord(character) >= 32 for character in record["reason"])
    assert health.records(kind="job-start") == []


# What stands in the manifest beside a good source, of a digest that the server has for /usr/include.
TREES = {
    "over programs": lambda digest: [layer(b"/usr/bin", digest)],
    "over all": lambda digest: [layer(b"/", digest)],
    "over the system": lambda digest: [layer(b"/usr", digest)],
    "over the tools": lambda digest: [layer(LIB, digest)],
    "above the tools": lambda digest: [layer(b"/usr/lib/gcc", digest)],
    "among the tools": lambda digest: [layer(LIB + b"/plugin", digest)],
    "over libraries": lambda digest: [layer(b"/lib", digest)],
    "above catalogues": lambda digest: [layer(b"/usr/share", digest)],
    "over etc": lambda digest: [layer(b"/etc", digest)],
    "over a device": lambda digest: [layer(b"/dev/null", digest)],
    "over ours": lambda digest: [layer(b"/.securecc/tmp", digest)],
    "not normalised": lambda digest: [layer(INCLUDE + b"/../bin", digest)],
    "twice": lambda digest: [layer(INCLUDE, digest), layer(INCLUDE, digest)],
    "and a file there": lambda digest: [layer(INCLUDE, digest), file(INCLUDE, b"")],
    "and a directory there": lambda digest: [layer(INCLUDE, digest), folder(INCLUDE)],
    "a file in it": lambda digest: [layer(INCLUDE, digest), file(INCLUDE + b"/stdio.h", b"")],
    "a directory in it": lambda digest: [layer(INCLUDE, digest), folder(INCLUDE + b"/sys")],
    "a link in it": lambda digest: [layer(INCLUDE, digest), link(INCLUDE + b"/mine", CWD)],
    "a layer in it": lambda digest: [layer(INCLUDE, digest), layer(INCLUDE + b"/sys", digest)],
    "below a link": lambda digest: [link(CWD + b"/inc", INCLUDE), layer(CWD + b"/inc/sys", digest)],
    "below a file": lambda digest: [layer(SOURCE + b"/sys", digest)],
    "in the working directory's place": lambda digest: [layer(CWD, digest)],
    "in the output's place": lambda digest: [layer(CWD + b"/a.o", digest)],
    "a short digest": lambda digest: [layer(INCLUDE, digest[:31])],
    "a long digest": lambda digest: [layer(INCLUDE, digest + b"x")],
    "no digest": lambda _: [layer(INCLUDE)],
    "with a size": lambda digest: [layer(INCLUDE, digest, size=1)],
    "with an inode": lambda digest: [layer(INCLUDE, digest, inode=7)],
    "set-user-id": lambda digest: [layer(INCLUDE, digest, mode=0o4755)],
    "too many": lambda digest: [layer(b"/opt/%d" % number, digest) for number in range(65)],
}

UNKNOWN = {
    "nobody's": lambda _: [layer(INCLUDE, b"x" * 32)],
    "a source's digest": lambda _: [layer(INCLUDE, blob(SMALL[SOURCE]))],
    "another place": lambda digest: [layer(b"/opt/include", digest)],
    "a part of it": lambda digest: [layer(INCLUDE + b"/x86_64-linux-gnu", digest)],
    "one of two": lambda digest: [layer(INCLUDE, digest), layer(LIB + b"/include", digest)],
}


@pytest.mark.parametrize("name", TREES)
def test_a_layer_is_refused_where_none_may_be(farm, health, name):
    refused_once(health, attack(farm, TREES[name]), "tree")


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_layer_that_is_not_the_servers_is_refused(farm, health, name):
    refused_once(health, attack(farm, UNKNOWN[name]), "layer")


@pytest.mark.parametrize("output", [INCLUDE + b"/a.o", INCLUDE + b"/sys/a.o", b"../../usr/include/c++/a.o"])
def test_an_output_in_a_layer_is_refused(farm, health, output):
    end = attack(farm, lambda digest: [layer(INCLUDE, digest)], (b"-c", b"a.c", b"-o", output))
    refused_once(health, end, "tree")


def test_a_working_directory_in_a_layer_is_refused(farm, health):
    end = attack(
        farm,
        lambda digest: [layer(INCLUDE, digest)],
        (b"-c", SOURCE, b"-o", CWD + b"/a.o"),
        cwd=INCLUDE + b"/sys",
    )
    refused_once(health, end, "tree")


def test_a_digest_that_somebody_uploaded_is_no_layer(farm, health):
    """mallory names bob's file: as a layer it is none."""
    secret = b'const char *of = "bob\'s";\n'

    async def go():
        async with Raw(farm.as_principal("bob")) as bob:
            assert (await bob.run(contents={SOURCE: secret})).how == "result"
        health.count()

    asyncio.run(go())
    refused_once(health, attack(farm, lambda _: [layer(b"/opt/stolen", blob(secret))]), "layer")


def test_a_layer_gives_what_it_says_and_is_on_record(farm, health):
    """No file of the machine's but those below it; a digest that a file has is not one of the layer's."""
    text = b'#include <stddef.h>\n#include <stdio.h>\n#include "/usr/include/../../etc/passwd"\n'

    async def go():
        async with Raw(farm) as raw:
            known = offered(raw)
            entries = [GOOD, layer(INCLUDE, known[INCLUDE]), layer(LIB + b"/include", known[LIB + b"/include"])]
            good = await raw.run(COMPILE, SMALL, entries)
            entries[0] = file(SOURCE, text)
            return known, good, await raw.run(COMPILE, {SOURCE: text}, entries)

    known, good, bad = asyncio.run(go())
    assert good.result.status == 0
    assert good.result.strays == ()
    assert list(good.files) == [CWD + b"/a.o"]
    assert bad.result.status == 1
    assert "passwd: No such file" in bad.errors
    assert "stdio.h: No such" not in bad.errors
    for record in health.records(kind="job-start"):
        assert record["layers_sha256"] == [known[path].hex() for path in (INCLUDE, LIB + b"/include")]

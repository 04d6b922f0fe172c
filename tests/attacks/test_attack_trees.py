"""Trees of files that must not be built: paths that leave them, that lead through links, that stand among the
toolchain's own files. And other people's files, which a digest alone does not give.
"""

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from securecc.model.manifest import Entry
from securecc.model.messages import Need, Refuse, Supply
from tests.attacks.health import Health
from tests.attacks.raw import CWD, PREDEF, SMALL, SOURCE, End, Raw, blob, file
from tests.farm.farmside import Farm

BASE = (file(PREDEF, b"\n"), file(SOURCE, SMALL[SOURCE]))

# What is too much to stand in corpus/trees.yaml, which has all others.
TREES = {
    "255 components": (file(b"/d" * 255 + b"/x"),),
    "a component of 256": (file(CWD + b"/" + b"x" * 256),),
    "5,000 bytes": (file(b"/" + b"/".join([b"x" * 200] * 25)),),
    "too many entries": tuple(file(CWD + b"/%05d" % number) for number in range(16385)),
    "more than all sources may be": tuple(file(CWD + b"/%d" % n, b"%d" % n, size=64 << 20) for n in range(5)),
}

COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def by_path(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted as a manifest must be; what is equal keeps its order."""
    return sorted(entries, key=lambda entry: entry.path)


def attack(farm: Farm, entries: Iterable[Entry], arguments: Sequence[bytes] = COMPILE, **fields: object) -> End:
    async def go() -> End:
        async with Raw(farm) as raw:
            return await raw.run(arguments, {b"": b"", **SMALL, b"1": b"1", b"2": b"2"}, entries, **fields)

    return asyncio.run(go())


def refused_once(health: Health, end: End) -> None:
    assert (end.how, end.code) in {("refused", "tree"), ("refused", "limit")}, end
    (record,) = health.records(kind="job-refused")
    assert record["code"] == end.code
    assert all(ord(character) >= 32 for character in record["reason"])
    assert health.records(kind="job-start") == []


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_refused(farm: Farm, health: Health, name: str) -> None:
    refused_once(health, attack(farm, by_path((*BASE, *TREES[name]))))


SECRET = b'const char *secret = "of bob\'s";\n'


def test_a_digest_alone_gives_nobody_anothers_file(farm: Farm, health: Health) -> None:
    """bob has uploaded it; to alice the server says that it lacks it, as it does of one that nobody has."""

    async def go() -> None:
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


def test_a_manifest_is_known_on_its_own_channel_only(farm: Farm) -> None:
    async def go() -> None:
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


def test_nobody_poisons_anothers_blob(farm: Farm) -> None:
    """mallory's bytes under the digest of a header: refused, and everybody else gets the real ones."""
    header, real, false = CWD + b"/h.h", b"#define VALUE 1234567\n", b"#define VALUE 7654321\n"
    source = b'#include "h.h"\nint value = VALUE;\n'

    async def go() -> None:
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


def test_what_one_job_leaves_in_its_tree_no_other_sees(farm: Farm) -> None:
    """A compile that includes what another has just sent, by the same path, finds nothing."""

    async def go() -> None:
        async with Raw(farm) as alice, Raw(farm.as_principal("bob")) as bob:
            private = CWD + b"/private.h"
            assert (await alice.run(contents={**SMALL, private: b"int alices;\n"})).how == "result"
            end = await bob.run(contents={SOURCE: b'#include "private.h"\n'})
            assert end.ran.status == 1
            assert "private.h: No such file" in end.errors

    asyncio.run(go())

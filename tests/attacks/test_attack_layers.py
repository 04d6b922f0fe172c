"""Directory trees of the server's, named by somebody who should not: under another name, at another place, over what
is the toolchain's, with files of one's own below.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from securecc.model.manifest import Entry, Kind, Role
from tests.attacks.health import Health
from tests.attacks.raw import CWD, SMALL, SOURCE, End, Raw, blob, file
from tests.farm.farmside import Farm

INCLUDE = b"/usr/include"
LIB = b"/usr/lib/gcc/x86_64-linux-gnu/12"
COMPILE = (b"-c", b"a.c", b"-o", b"a.o")
GOOD = file(SOURCE, SMALL[SOURCE])


def shared_tree(path: bytes, digest: bytes = b"", **fields: Any) -> Entry:
    return Entry(path, Kind.SHARED_TREE, blob=digest, **{"mode": 0o755, "role": Role.PRESENT, **fields})


def offered(raw: Raw) -> dict[bytes, bytes]:
    return {known.path: known.digest for known in raw.welcome.shared_trees}


def attack(
    farm: Farm,
    made: Callable[[bytes], list[Entry]],
    arguments: Sequence[bytes] = COMPILE,
    contents: Mapping[bytes, bytes] = SMALL,
    **fields: object,
) -> End:
    """`made` gets the digest of the server's /usr/include, and says what stands beside a good source."""

    async def go() -> End:
        async with Raw(farm) as raw:
            entries = sorted((GOOD, *made(offered(raw)[INCLUDE])), key=lambda entry: entry.path)
            return await raw.run(arguments, {b"": b"", **contents}, entries, **fields)

    return asyncio.run(go())


def refused_once(health: Health, end: End, code: str) -> None:
    assert (end.how, end.code) == ("refused", code), end
    (record,) = health.records(kind="job-refused")
    assert record["code"] == code
    assert all(ord(character) >= 32 for character in record["reason"])
    assert health.records(kind="job-start") == []


def test_too_many_shared_trees_are_refused(farm: Farm, health: Health) -> None:
    """All others that stand where none may are corpus/layers.yaml."""
    end = attack(farm, lambda digest: [shared_tree(b"/opt/%d" % number, digest) for number in range(65)])
    refused_once(health, end, "tree")


def test_a_sources_digest_is_no_shared_trees(farm: Farm, health: Health) -> None:
    refused_once(health, attack(farm, lambda _: [shared_tree(INCLUDE, blob(SMALL[SOURCE]))]), "layer")


def test_a_digest_that_somebody_uploaded_is_no_shared_tree(farm: Farm, health: Health) -> None:
    """mallory names bob's file: as a shared tree it is none."""
    secret = b'const char *of = "bob\'s";\n'

    async def go() -> None:
        async with Raw(farm.as_principal("bob")) as bob:
            assert (await bob.run(contents={SOURCE: secret})).how == "result"
        health.count()

    asyncio.run(go())
    refused_once(health, attack(farm, lambda _: [shared_tree(b"/opt/stolen", blob(secret))]), "layer")


def test_a_shared_tree_gives_what_it_says_and_is_on_record(farm: Farm, health: Health) -> None:
    """No file of the machine's but those below it; a digest that a file has is not one of the shared tree's."""
    text = b'#include <stddef.h>\n#include <stdio.h>\n#include "/usr/include/../../etc/passwd"\n'

    async def go() -> tuple[dict[bytes, bytes], End, End]:
        async with Raw(farm) as raw:
            known = offered(raw)
            entries = [
                GOOD,
                shared_tree(INCLUDE, known[INCLUDE]),
                shared_tree(LIB + b"/include", known[LIB + b"/include"]),
            ]
            good = await raw.run(COMPILE, SMALL, entries)
            entries[0] = file(SOURCE, text)
            return known, good, await raw.run(COMPILE, {SOURCE: text}, entries)

    known, good, bad = asyncio.run(go())
    assert good.ran.status == 0
    assert good.ran.strays == ()
    assert list(good.files) == [CWD + b"/a.o"]
    assert bad.ran.status == 1
    assert "passwd: No such file" in bad.errors
    assert "stdio.h: No such" not in bad.errors
    for record in health.records(kind="job-start"):
        assert record["layers_sha256"] == [known[path].hex() for path in (INCLUDE, LIB + b"/include")]

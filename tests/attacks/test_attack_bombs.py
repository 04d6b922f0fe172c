"""Little that becomes much: for the decompressors, and for the compiler."""

import asyncio
import struct

import pytest
import zstandard

from securecc.model import limits
from securecc.model.messages import Need, Supply
from tests.attacks.health import Health
from tests.attacks.raw import CWD, PREDEF, SMALL, SOURCE, End, Raw, ended, ending, file
from tests.farm.farmside import Farm

BULK = 3
COMPILE = (b"-c", b"a.c", b"-o", b"a.o")


def bomb(size: int) -> bytes:
    """A small zstd frame of so many zeros; it says how many."""
    compressor = zstandard.ZstdCompressor(level=3)
    return compressor.compress(b"\0" * size)


def silent_bomb(size: int) -> bytes:
    """The same, without a word of its size."""
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=False)
    stream = compressor.compressobj()
    block = b"\0" * (1 << 20)
    return b"".join([*(stream.compress(block) for _ in range(size >> 20)), stream.flush()])


def lying_bomb(size: int, said: int) -> bytes:
    """It says that it is small. The frame header descriptor and an 8-byte size come after the magic number."""
    data = silent_bomb(size)
    assert data[:4] == b"\x28\xb5\x2f\xfd"
    return data[:4] + bytes([data[4] | 0b1100_0000]) + data[5:6] + struct.pack("<Q", said) + data[6:]


BOMBS = {
    "512 MiB": bomb(512 << 20),
    "512 MiB without a word": silent_bomb(512 << 20),
    "512 MiB that says 100 bytes": lying_bomb(512 << 20, 100),
    "no zstd": b"PK\x03\x04" + b"\0" * 100,
    "empty": b"",
    "cut": bomb(1000)[:-3],
    "a window of 2 GiB": b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_manifest_that_is_a_bomb(farm: Farm, health: Health, name: str) -> None:
    async def go() -> End:
        async with Raw(farm) as raw:
            job = await raw.invited()
            raw.tell(
                raw.submission(job, [file(SOURCE, SMALL[SOURCE]), file(PREDEF)], COMPILE, manifest=BOMBS[name] or b"\0")
            )
            return ending(await raw.hear_of(job))

    end = asyncio.run(go())
    assert (end.how, end.code) == ("refused", "tree")
    assert len(health.records(kind="job-refused")) == 1


@pytest.mark.parametrize("name", BOMBS)
def test_a_chunk_that_is_a_bomb(farm: Farm, name: str) -> None:
    async def go() -> str:
        async with Raw(farm) as raw:
            job = await raw.invited()
            raw.tell(raw.submission(job, [file(SOURCE, b"int bomb;\n" + name.encode())], COMPILE))
            assert isinstance(await raw.hear_of(job), Need)
            raw.tell(Supply(job))
            raw.frame(BULK, BOMBS[name], job=job, flags=1)
            return await ended(raw)

    assert asyncio.run(go()).startswith("protocol: ")


def test_bombs_for_the_compiler_end_at_their_limits(farm: Farm, health: Health) -> None:
    """Diagnostics without end, includes of itself, and an object that is too large; judged by the server alone."""
    texts = {
        "diagnostics": b"#define A(x) x x x x x x x x x x\n" + b"A(A(A(A(A(A(int y = z;))))))\n",
        "binary": bytes(range(256)) * 64,
        "itself": b'#include "a.c"\n',
        "output": b"char big[300000000] = {1};\n",
    }

    async def go(text: bytes) -> End:
        async with Raw(farm) as raw:
            return await raw.run(contents={SOURCE: text})

    for name, text in texts.items():
        end = asyncio.run(go(text))
        assert end.how in {"result", "refused"}, name
        if end.how == "result":
            assert end.ran.status != 0 or end.ran.limit, name
            assert len(end.content) <= 2 * limits.DIAGNOSTICS
    ends = health.records(kind="job-end")
    assert len(ends) == len(texts)
    assert CWD.decode() in {record["cwd"] for record in ends}

"""A client that lies about its toolchain: a digest of its own making for one that the server has, one of the server's
for another compiler, another than it has asked for. Each is refused by name, and on record.
"""

import asyncio
from typing import Any

import pytest

from securecc.compiler.toolchain.closure import describe
from securecc.compiler.toolchain.discovery import discover
from securecc.model.messages import Ask, Refuse
from tests.attacks.health import Health
from tests.attacks.raw import End, Raw
from tests.farm.farmside import Farm

FALSE = b"\x5a" * 32


def refusal_on_record(health: Health, code: str, toolchain: str) -> dict[str, Any]:
    """The one record of it, with the name that the client gave; no job has begun."""
    (record,) = health.records(kind="job-refused")
    assert (record["decision"], record["code"], record["toolchain"]) == ("denied", code, toolchain), record
    assert record["principal"] == "alice@EXAMPLE.COM"
    assert health.records(kind="job-start") == []
    return record


def test_a_digest_that_is_not_that_of_what_it_describes(farm: Farm, health: Health) -> None:
    """The very toolchain that the server has, in every word but its digest."""

    async def go() -> object:
        async with Raw(farm) as raw:
            said = describe(discover(b"/usr/bin/gcc", b"/usr/bin:/bin"))
            raw.tell(Ask(1, b"key", FALSE, 0, 0, said))
            return await raw.hear_of(1)

    refused = asyncio.run(go())
    assert isinstance(refused, Refuse)
    assert refused.code == "toolchain"
    record = refusal_on_record(health, "toolchain", "gcc-12")
    assert record["reason"] == refused.reason
    assert "no such toolchain here: gcc-12" in refused.reason


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"toolchain": FALSE}, "toolchain", "a different toolchain from the one it asked for"),
        ({"driver": b"/usr/bin/clang"}, "option", "not a driver of the toolchain"),
        ({"driver": b"/usr/bin/aarch64-linux-gnu-gcc"}, "option", "not a driver of the toolchain"),
        ({"driver": b"/home/alice/gcc"}, "option", "not a driver of the toolchain"),
    ],
)
def test_a_digest_for_something_else(farm: Farm, health: Health, fields: dict[str, Any], code: str, said: str) -> None:
    async def go() -> End:
        async with Raw(farm) as raw:
            return await raw.run(**fields)

    end = asyncio.run(go())
    assert (end.how, end.code) == ("refused", code), end
    assert said in end.text
    assert said in refusal_on_record(health, code, "gcc-12")["reason"]

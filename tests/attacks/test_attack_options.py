"""Commands and environments that are too large to stand in the corpus: refused by name. All others are
corpus/options.yaml and corpus/environment.yaml.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.attacks.health import Health
from tests.attacks.raw import CWD, End, Raw
from tests.farm.farmside import Farm

COMPILE = (b"-c", b"a.c", b"-o", b"a.o")
COMMANDS = {
    "4,097 arguments": (*COMPILE, *(b"-DX",) * 4097),
    "a long argument": (*COMPILE, b"-D" + b"X" * (128 * 1024 + 1)),
    "a long command": (*COMPILE, *(b"-D" + b"X" * 65536,) * 17),
}


def attack(farm: Farm, arguments: Sequence[bytes], **fields: Any) -> End:
    async def go() -> End:
        async with Raw(farm) as raw:
            return await raw.run(arguments, **fields)

    return asyncio.run(go())


def test_the_raw_client_can_compile_at_all(farm: Farm) -> None:
    end = attack(farm, COMPILE)
    assert end.how == "result"
    assert end.ran.status == 0
    assert list(end.files) == [CWD + b"/a.o"]


@pytest.mark.parametrize("name", [*COMMANDS, "a large environment"])
def test_what_is_too_large_is_refused(farm: Farm, health: Health, name: str) -> None:
    environment = {b"TZ": b"x" * 100_000} if name not in COMMANDS else {}
    end = attack(farm, COMMANDS.get(name, COMPILE), environment=environment)
    assert (end.how, end.code) == ("refused", "limit" if environment else "option"), end
    (record,) = health.records(kind="job-refused")
    assert record["code"] == end.code
    assert health.records(kind="job-start") == []

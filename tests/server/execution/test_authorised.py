"""What the grant does not cover does not run."""

from dataclasses import replace
from typing import Any

import pytest

from securecc.model.errors import Denied, Refused, SecureccError
from securecc.model.grant import Grant
from securecc.server.execution.authorised import Authorised
from tests.server.execution.chain import job, run
from tests.server.frontside import GRANT, StubExecutor


@pytest.mark.parametrize(
    ("changes", "grant", "error", "message"),
    [
        ({}, replace(GRANT, principal="bob@EXAMPLE.COM"), Denied, "another principal's"),
        ({}, replace(GRANT, toolchains=("clang-*",)), Denied, "does not grant gcc-12"),
        ({}, replace(GRANT, toolchains=()), Denied, "does not grant gcc-12"),
        ({"source": 11}, replace(GRANT, limits=replace(GRANT.limits, source=10)), Refused, "11 bytes of source"),
    ],
)
def test_what_the_grant_does_not_cover_does_not_run(
    changes: dict[str, Any], grant: Grant, error: type[SecureccError], message: str
) -> None:
    inner = StubExecutor()
    with pytest.raises(error, match=message):
        run(Authorised(inner), job(**changes), grant)
    assert inner.jobs == []


def test_what_it_covers_runs() -> None:
    inner = StubExecutor()
    run(Authorised(inner), job(), GRANT).close()
    assert len(inner.jobs) == 1

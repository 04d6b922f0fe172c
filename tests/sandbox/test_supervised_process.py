"""Supervision of a sandbox's processes: which limit ends them, and that nothing is left. The rest: test_runner."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from securecc.model import limits
from securecc.model.grant import JobLimits
from securecc.sandbox import process_tree
from securecc.sandbox.sandbox import SandboxResult, never_overflows
from securecc.sandbox.supervised_process import SupervisedProcess, spawn
from tests.waiting import CEILING_S

LONG = JobLimits(wall_s=600.0, processes=500)


class Supervised(SupervisedProcess):
    """A program that makes no sandbox and reports nothing."""

    def _finish_by_report(self) -> None:
        self._finish(self._status, ran=True)


async def supervised(
    *words: bytes, given: JobLimits = LONG, overflowing: bool = False, kill: bool = False
) -> SandboxResult:
    pid = spawn([b"/bin/sh", b"-c", *words], {b"PATH": b"/usr/bin:/bin"}, (0, 1, 2))
    running = Supervised(pid, given, (lambda: True) if overflowing else never_overflows, supervised=pid)
    if kill:
        running.kill()
    result = await asyncio.wait_for(running.ended(), CEILING_S)
    running.kill()  # of no use any more, and no harm
    with pytest.raises(ChildProcessError):
        os.waitpid(-pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait
    return result


@pytest.mark.parametrize(
    ("words", "more", "limit"),
    [
        (b"exit 3", {}, ""),
        (b"sleep 600", {"given": replace(LONG, wall_s=0.1)}, "wall"),
        (b"sleep 600", {"overflowing": True}, "diagnostics"),
        (b"while :; do :; done", {"given": replace(LONG, cpu_s=0.1)}, "cpu"),
        (b"sleep 600", {"given": replace(LONG, memory=1)}, "memory"),
        (b"sleep 600", {"kill": True}, ""),
    ],
)
def test_a_limit_ends_it_and_is_named(words: bytes, more: dict[str, object], limit: str) -> None:
    result = asyncio.run(supervised(words, **more))  # type: ignore[arg-type]
    assert result.limit == limit
    assert result.status == (3 if words == b"exit 3" else -9)
    assert result.usage.wall_s >= 0


def test_a_process_of_its_group_ends_with_it() -> None:
    """As an init does whose outer process was killed before it had bound it."""

    async def whole() -> None:
        reading, writing = os.pipe()
        pid = spawn([b"/bin/sh", b"-c", b"sleep 600 & kill -9 $$"], {b"PATH": b"/usr/bin:/bin"}, (0, writing, 2))
        os.close(writing)
        await asyncio.wait_for(Supervised(pid, LONG, never_overflows).ended(), CEILING_S)
        assert os.read(reading, 1) == b""  # nobody has the other end any more
        os.close(reading)

    asyncio.run(whole())


def test_none_of_a_jobs_processes_hides_behind_the_others() -> None:
    """Who may have many has all of them counted, those last that began first."""

    async def whole() -> SandboxResult:
        reading, writing = os.pipe()
        busy = b"for n in $(seq 400); do sleep 600 & done; echo; wait"
        pid = spawn([b"/bin/sh", b"-c", busy], {b"PATH": b"/usr/bin:/bin"}, (0, writing, 2))
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        few, all_of_them = (process_tree.usage(pid, most)[1] for most in (256, 500))
        given = replace(LONG, memory=(few + all_of_them) // 2)
        return await asyncio.wait_for(Supervised(pid, given, never_overflows, supervised=pid).ended(), CEILING_S)

    assert asyncio.run(whole()).limit == "memory"


@pytest.fixture
def nothing_inheritable() -> Iterator[None]:
    """Whatever this process was started with, or another test has made inheritable, is not passed on meanwhile."""
    left = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2 and _is_inheritable(int(name))]
    for descriptor in left:
        os.set_inheritable(descriptor, False)
    yield
    for descriptor in left:
        os.set_inheritable(descriptor, True)


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # the descriptor by which the directory was listed
        return False


def test_descriptors_take_their_places_and_no_others_are_passed_on(nothing_inheritable: None) -> None:
    """One of them has a number that another is to get."""
    reading, writing = os.pipe()
    try:
        pid = spawn([b"/bin/sh", b"-c", b"ls /proc/self/fd >&2"], {b"PATH": b"/usr/bin:/bin"}, (1, 0, writing))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert os.read(reading, limits.KIB).split() == [b"0", b"1", b"2", b"3"]  # the last is ls's own
    finally:
        os.close(reading)
        os.close(writing)


def test_a_word_with_a_nul_starts_nothing() -> None:
    with pytest.raises(ValueError, match="null"):
        spawn([b"/bin/true", b"a\0b"], {}, (0, 1, 2))
    assert subprocess.run(["true"], check=True).returncode == 0

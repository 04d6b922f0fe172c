"""Who waits for a compile, and that their death is noticed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from securecc.client.ipc import process_ancestry as ancestry_module
from securecc.client.ipc.process_ancestry import ProcessAncestry, ancestors, parent_of

SHELL = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@contextmanager
def family(*shells: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """make, a Python here; below it `shells`, one in the other; innermost the launcher, a shell too."""
    inner = "echo $$; read end"
    words = ["sh", "-c", inner]
    for _ in shells:
        words = ["sh", "-c", '"$@"; :', "sh", *words]
    make = subprocess.Popen(
        [sys.executable, "-c", SHELL, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert make.stdin is not None
    assert make.stdout is not None
    launcher = int(make.stdout.readline())
    try:
        yield make, launcher
    finally:
        make.kill()
        make.stdin.close()
        make.wait()
        make.stdout.close()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_ancestors_go_up_to_the_first_that_is_no_go_between(depth: int) -> None:
    with family(*range(depth)) as (make, launcher):
        line = ancestors(launcher, parent_of(launcher))
        assert line[-1] == make.pid
        assert len(line) == depth + 1


def test_a_process_that_is_gone_has_no_ancestors() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert ancestors(child.pid, os.getpid()) == []


def watched(
    act: Callable[[], object], launcher: int, parent: int, *, after: float = 0.01, patience: float = 5.0
) -> bool:
    """Whether an ancestor was found dead after `act`."""

    async def run() -> bool:
        orphaned = asyncio.Event()
        ancestry = ProcessAncestry(launcher, parent, orphaned.set)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ancestry_module, "WATCHED_AFTER_S", after)
            ancestry.start()
            await asyncio.sleep(after * 3)
            act()
            try:
                await asyncio.wait_for(orphaned.wait(), patience)
            except TimeoutError:
                return False
            finally:
                ancestry.stop()
                ancestry.stop()
        return True

    before = len(os.listdir("/proc/self/fd"))
    found = asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before
    return found


@pytest.mark.parametrize("depth", [0, 2])
def test_a_killed_make_is_noticed(depth: int) -> None:
    with family(*range(depth)) as (make, launcher):
        assert watched(make.kill, launcher, parent_of(launcher))


def test_a_make_that_died_before_the_watch_began_is_noticed() -> None:
    with family() as (make, launcher):
        parent = parent_of(launcher)
        make.kill()
        make.wait()
        assert watched(lambda: None, launcher, parent)


def test_a_shell_that_died_is_noticed() -> None:
    with family(1) as (_, launcher):
        shell = parent_of(launcher)
        assert watched(lambda: os.kill(shell, signal.SIGKILL), launcher, shell)


def test_who_lives_is_left_alone() -> None:
    with family(1) as (_, launcher):
        assert not watched(lambda: None, launcher, parent_of(launcher), patience=0.1)


def test_a_launcher_that_cannot_be_seen_is_left_alone() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert not watched(lambda: None, child.pid, os.getpid(), patience=0.05)


@pytest.mark.parametrize(("error", "noticed"), [(ProcessLookupError(), True), (PermissionError(), False)])
def test_what_cannot_be_watched_is_gone_or_left_alone(
    monkeypatch: pytest.MonkeyPatch, error: OSError, noticed: bool
) -> None:
    def refuse(_process: int) -> int:
        raise error

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with family() as (_, launcher):
        assert watched(lambda: None, launcher, parent_of(launcher), patience=0.1) is noticed


def test_a_short_compile_is_never_looked_at() -> None:
    async def run() -> None:
        ancestry = ProcessAncestry(1, 1, lambda: pytest.fail("looked"))
        ancestry.start()
        ancestry.stop()
        await asyncio.sleep(0)
        assert not ancestry.started

    asyncio.run(run())

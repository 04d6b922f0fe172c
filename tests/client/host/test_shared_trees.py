"""securecc.client.host.shared_trees: a tree stands for its files as long as it is exactly the server's."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securecc.client.host import shared_trees
from securecc.client.host.inotify import Inotify
from securecc.client.host.shared_trees import RETRY_S, WORTH_IT, SharedTrees, watchable_directories
from securecc.compiler.tree import shared_tree
from securecc.model import limits
from securecc.model.errors import StaysLocal
from securecc.model.messages import SharedTree


class Machine:
    """A tree on this machine, and a server that offers the same."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "sub").mkdir(parents=True)
        (top / "sub/a.h").write_text("int a;\n")
        self.watches: list[Inotify] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.shared_trees = SharedTrees(self._inotify, self._digest, most=2)

    async def _digest(self, path: bytes) -> bytes:
        digest = await shared_trees.tree_digest(path)
        self.meanwhile()
        return digest

    def _inotify(self) -> Inotify:
        self.watches.append(Inotify())
        return self.watches[0]

    def offer(self) -> SharedTree:
        path = os.fsencode(self.top)
        return SharedTree(path, shared_tree.digest_of(shared_tree.entries(path)))

    async def ask(self, *offered: SharedTree, times: int = WORTH_IT + 1) -> tuple[SharedTree, ...]:
        """As so many compiles would, then once more when nothing is looked at any longer."""
        for _ in range(times):
            self.shared_trees.usable(offered)
        await self.shared_trees.examined()
        return self.shared_trees.usable(offered)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path.resolve() / "include")
    yield made
    for watch in made.watches:
        watch.close()


def test_an_equal_tree_stands(machine: Machine) -> None:
    offered = machine.offer()
    assert asyncio.run(machine.ask(offered)) == (offered,)


def test_it_is_not_looked_at_for_a_few_compiles(machine: Machine) -> None:
    assert asyncio.run(machine.ask(machine.offer(), times=WORTH_IT - 1)) == ()
    assert not machine.watches


def test_another_tree_never_stands(machine: Machine) -> None:
    assert asyncio.run(machine.ask(SharedTree(os.fsencode(machine.top), bytes(32)))) == ()


def test_it_stands_no_longer_when_anything_changes(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        offered = machine.offer()
        assert await machine.ask(offered) == (offered,)
        (machine.top / "sub/b.h").write_text("")
        assert await machine.ask(offered) == ()
        assert await machine.ask(machine.offer()) == ()
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: RETRY_S * 1e9)
        assert await machine.ask(machine.offer()) == (machine.offer(),)

    asyncio.run(body())


@pytest.mark.parametrize(("point", "stands"), [("include/sub", False), ("", False), ("elsewhere", True)])
def test_what_is_mounted_over_it_shows(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str, stands: bool
) -> None:
    mounted: list[bytes] = []
    place = os.fsencode(tmp_path.resolve() / point)
    monkeypatch.setattr(shared_trees, "MountTable", lambda: SimpleNamespace(changed=lambda: mounted))

    async def body() -> Any:
        offered = machine.offer()
        assert await machine.ask(offered) == (offered,)
        mounted.append(place)
        return bool(machine.shared_trees.usable((offered,)))

    assert asyncio.run(body()) is stands


def test_a_change_while_it_is_digested_shows(machine: Machine) -> None:
    async def body() -> Any:
        offered = machine.offer()
        machine.meanwhile = lambda: (machine.top / "sub/a.h").write_text("int b;\n")
        return await machine.ask(offered)

    assert asyncio.run(body()) == ()


def test_what_a_server_takes_for_another_is_left_alone(machine: Machine) -> None:
    async def body() -> Any:
        offered = machine.offer()
        await machine.ask(offered)
        machine.shared_trees.distrust(offered.path)
        return await machine.ask(offered)

    assert asyncio.run(body()) == ()


def test_trees_whose_changes_would_not_show(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = machine.offer()
    (tmp_path / "link").symlink_to("include")
    for path in (tmp_path / "link", tmp_path / "nowhere"):
        with pytest.raises((StaysLocal, OSError)):
            watchable_directories(os.fsencode(path))
    with pytest.raises(StaysLocal, match="others"):
        watchable_directories(b"/proc/self")
    monkeypatch.setattr(shared_trees, "is_local", lambda path: False)
    assert asyncio.run(machine.ask(offered)) == ()


def test_what_hangs_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_TREE_LOOK_S", 0.01)
    assert asyncio.run(machine.ask(machine.offer())) == ()


def test_trees_that_are_offered_no_more_are_forgotten(machine: Machine) -> None:
    async def body() -> None:
        offered = machine.offer()
        assert await machine.ask(offered) == (offered,)
        for number in range(5):
            assert await machine.ask(SharedTree(b"/nowhere/%d" % number, bytes(32))) == ()
            assert len(machine.shared_trees) <= 2
        assert machine.shared_trees.usable((offered,)) == ()
        assert await machine.ask(offered) == (offered,)

    asyncio.run(body())

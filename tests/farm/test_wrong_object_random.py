"""Worlds of headers that change at random between compiles: securecc makes what the compiler alone makes, each time.

A failure names its seed; the world is the same again for the same seed.
"""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.farm.farmside import Farm
from tests.farm.twins import OLD_NS, Twins, put

FOLDERS = ["", "i0", "i1", "i2", "i3", "i1/s", "i2/s"]
NAMES = ["x.h", "y.h", "z.h"]
SPELLED = [*NAMES, "s/x.h", "../x.h", "s/../y.h"]
OPTIONS = ["-Ii0", "-Ii1", "-Ii2", "-Ii3", "-Ii0/../i2", "-iquotei3", "-isystemi1", "-idirafteri0", "-Ii1/"]
STEPS = 14


def symlink(old: Path, new: Path) -> None:
    os.symlink(os.path.relpath(old, new.parent), new)


class World:
    """A folder of headers, a source, and a command."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.count = 0
        put(folder, {"a.c": self.text()})
        for _ in range(12):
            self.change()
        self.options = [
            *self.dice.sample(OPTIONS, 4),
            *self.dice.sample(["-O1", "-g", "-MD", "-Wmissing-include-dirs"], 2),
        ]

    def text(self) -> str:
        self.count += 1
        lines = [f"int JOIN(v, __COUNTER__) = {self.count};"]
        lines += [self.line() for _ in range(self.dice.randint(0, 3))]
        if self.dice.random() < 0.3:
            lines.insert(0, "#pragma once")
        return "\n".join(["#if __INCLUDE_LEVEL__ < 6", *lines, "#endif", ""])

    def line(self) -> str:
        name = self.dice.choice(SPELLED)
        word, ask = self.dice.choice([("include", "__has_include"), ("include_next", "__has_include_next")])
        spelled = self.dice.choice([f"<{name}>", f'"{name}"'])
        return self.dice.choice(
            [
                f"#if {ask}({spelled})\n#{word} {spelled}\n#endif",
                f"#if {ask}({spelled})\nint JOIN(w, __COUNTER__);\n#endif",
                f"#if defined __OPTIMIZE__ && {ask}({spelled})\n#{word} {spelled}\n#endif",
                f"#if {ask}({spelled})\n#undef H\n#define H {spelled}\n#include H\n#endif",
                f"#{word} {spelled}" if self.dice.random() < 0.2 else "",
            ]
        )

    def path(self, folders: Sequence[str] = FOLDERS) -> Path:
        return self.folder / self.dice.choice(folders) / self.dice.choice(NAMES)

    def change(self) -> None:
        move = self.dice.choice(
            [self.write, self.write, self.write, self.remove, self.link, self.copy, self.turn, self.touch]
        )
        try:
            move()
        except OSError:
            return  # that which it was to be done to is not there, or something else

    def write(self) -> None:
        path = self.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text())
        if self.dice.random() < 0.5:
            os.utime(path, ns=(OLD_NS, OLD_NS))

    def remove(self) -> None:
        self.path().unlink()

    def link(self) -> None:
        moves: list[Callable[[Path, Path], None]] = [os.link, symlink]
        make = self.dice.choice(moves)
        new = self.path()
        old = self.path()
        new.unlink(missing_ok=True)
        make(old, new)

    def copy(self) -> None:
        shutil.copy2(self.path(), self.path())

    def touch(self) -> None:
        os.utime(self.path(), ns=(OLD_NS, OLD_NS + self.dice.choice([0, 10**9])))

    def turn(self) -> None:
        """A folder becomes another folder, a symlink, or nothing."""
        folder = self.folder / self.dice.choice(FOLDERS[1:])
        spare = self.folder / f"old{self.count}"
        self.count += 1
        folder.rename(spare)
        if self.dice.random() < 0.5:
            folder.symlink_to(self.dice.choice(["i0", "i1", "i2", "i3", spare.name, "nowhere"]))


@pytest.mark.parametrize("seed", range(5))
def test_a_world_that_changes(farm: Farm, tmp_path: Path, seed: int) -> None:
    twins = Twins(farm, tmp_path / "w")
    twins.folder.mkdir()
    world = World(twins.folder, seed)
    join = ["-DJOIN2(a,b)=a##b", "-DJOIN(a,b)=JOIN2(a,b)"]
    command = ["gcc", *join, *world.options, "-c", "a.c", "-o", "a.o"]
    remote = 0
    for _ in range(STEPS):
        seen = []
        for run in (twins.gcc, twins.securecc):
            (twins.folder / "a.o").unlink(missing_ok=True)
            done = run(*command)
            made = twins.content("a.o") if done.status == 0 else b""
            seen.append((done.status, done.err, made))
        assert seen[0] == seen[1], (seed, done.place)
        remote += done.remote
        world.change()
    assert remote > 0

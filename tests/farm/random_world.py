"""A world of sources, headers, directories, links, mounts and variables that changes at random, for exactness tests.

Everything follows from the seed. What is done to a world is kept in `history`, so that a failure can be read.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.farm.farmside import Farm
from tests.farm.twins import OLD_NS, Ran, execute, put, through

FOLDERS = ["", "i0", "i1", "i2", "i3", "i1/s", "i2/s", "sdk/usr/include", "sdk/usr/local/include"]
NAMES = ["x.h", "y.h", "z.h", "X.h"]
SPELLED = [*NAMES, "s/x.h", "../x.h", "s/../y.h", "i1/z.h", "./x.h"]
OPTIONS = [
    *("-Ii0", "-Ii1", "-Ii2", "-Ii3", "-Ii0/../i2", "-iquotei3", "-isystemi1", "-idirafteri0", "-Ii1/", "-I."),
    *("-Iabsent", "--sysroot=sdk", "-isysteminclude/absent"),
]
MANNERS = ["-O1", "-g", "-MD", "-MMD", "-Wall", "-Wmissing-include-dirs", "-fdebug-prefix-map=i1=j", "-DMORE=1"]
VARIABLES: dict[str, list[str]] = {
    "CPATH": ["i0", "i2:i1", ":i3", "absent"],
    "C_INCLUDE_PATH": ["i1"],
    "CPLUS_INCLUDE_PATH": ["i2"],
    "BINUTILS_ROOT": ["sdk"],
    "COMPILER_PATH": ["i0"],
    "GCC_COLORS": ["error=01;31"],
    "GCC_VERSION": ["12.2.0"],
    "LD_LIBRARY_PATH": ["/nowhere"],
    "SOURCE_DATE_EPOCH": ["1500000000"],
    "TZ": ["UTC", "Europe/Zurich"],
    "LC_ALL": ["C.UTF-8", "de_DE.UTF-8"],
    "COLUMNS": ["40"],
    "ANYTHING": ["else"],
    "CCC_OVERRIDE_OPTIONS": ["", "+-DMORE=2"],
}
"""Values for a variable, of which a step may set some."""

JOIN = ("-DJOIN2(a,b)=a##b", "-DJOIN(a,b)=JOIN2(a,b)")
_TEMPORARY = re.compile(rb"/[^ :]*/(?:cc[A-Za-z0-9]{6}|[a-d]-[0-9a-f]{6})(?=\.[a-z])")
"""A name that is made up anew by each run, in messages of the assembler."""

REMOTE_SHARE = 0.3
"""At least so many of the compiles that succeed must have been a server's: else the steps show nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One compile of a world: what gcc made, and what came through securecc."""

    command: tuple[str, ...]
    environment: dict[str, str]
    alone: Ran
    remote: Ran

    @property
    def differences(self) -> list[str]:
        """What a user would see to be different, a line each."""
        pairs = {name: (getattr(self.alone, name), getattr(self.remote, name)) for name in ("status", "out", "err")}
        for made in sorted(self.alone.files.keys() | self.remote.files.keys()):
            pairs[os.fsdecode(made)] = (self.alone.files.get(made), self.remote.files.get(made))
        return [f"{name}: {one!r} but {other!r}" for name, (one, other) in pairs.items() if one != other]


class World:
    """A folder with four sources, and commands for them. The commands run in a mount namespace of their own."""

    def __init__(self, farm: Farm, folder: Path, seed: int, holder: int) -> None:
        self.farm = farm
        self.folder = folder
        self.dice = random.Random(seed)
        self.history: list[str] = []
        self._holder = holder
        self._count = 0
        self._mounted: list[Path] = []
        folder.mkdir()
        put(folder, {"a.c": self._text(), "b.cc": self._text(), "c.S": self._assembly(), "d.c": self._text()})
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(12):
            self.change()
        self.commands = [self._command(*words) for words in self._compilers()]

    def step(self) -> Step:
        """One of the commands, twice, in the same environment."""
        command = self.dice.choice(self.commands)
        environment = self._environment()
        ran = []
        for program in ((), ("securecc",)):
            for made in self.folder.glob("out.*"):
                made.unlink()
            done = through(self._run(*program, *command, **environment))
            done = replace(done, err=_TEMPORARY.sub(b"TEMPORARY", done.err))
            files = {os.fsencode(made.name): (made.read_bytes(),) for made in sorted(self.folder.glob("out.*"))}
            ran.append(replace(done, files=files))
        self.history.append(f"{environment} {' '.join(command)} -> {ran[0].status} {ran[1].place!r}")
        return Step(command, environment, ran[0], ran[1])

    def change(self) -> None:
        """Changes something, or tries to."""
        moves: list[Callable[[], str]] = [
            *[self._write] * 6,
            *(self._remove, self._link, self._copy, self._turn, self._touch, self._own, self._mount, self._source),
        ]
        move = self.dice.choice(moves)
        try:
            self.history.append(f"{move.__name__} {move()}")
        except (OSError, subprocess.CalledProcessError) as error:
            self.history.append(f"{move.__name__}: {error}")  # that which it was to be done to is not there, or other

    def story(self) -> str:
        """All that happened, and what the tree looks like, for people."""
        tree = subprocess.run(["ls", "-lR", "--full-time", self.folder], capture_output=True, text=True, check=False)
        return "\n".join([*self.history, tree.stdout])

    # --- what runs --------------------------------------------------------------------------------------------

    def _run(self, *command: str, **environment: str) -> Ran:
        """In the world's mount namespace. The shell enters the folder there: another could be mounted over it."""
        enter = ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "sh", "-c", 'cd "$0" && exec "$@"']
        variables = {**self.farm.env, "LC_ALL": "C", "SECURECC_VERBOSE": "1", **environment}
        return execute([*enter, str(self.folder), *command], "/", variables)

    def _compilers(self) -> Iterator[tuple[str, ...]]:
        yield self.dice.choice(["gcc", "clang"]), "a.c"
        yield self.dice.choice(["g++", "clang++"]), "b.cc"
        yield self.dice.choice(["gcc", "clang"]), "c.S"
        yield self.dice.choice(["gcc", "gcc", "clang"]), "d.c"

    def _command(self, compiler: str, source: str) -> tuple[str, ...]:
        options = self.dice.sample(OPTIONS, 4) + self.dice.sample(MANNERS, 2)
        if self.dice.random() < 0.2:
            options += ["-include", self.dice.choice(NAMES)]
        return (compiler, *JOIN, *options, "-c", source, "-o", "out.o")

    def _environment(self) -> dict[str, str]:
        some = self.dice.sample(sorted(VARIABLES), self.dice.choice([0, 0, 0, 1, 2]))
        chosen = {name: self.dice.choice(VARIABLES[name]) for name in some}
        if self.dice.random() < 0.05:
            chosen["PATH"] = f"i0:{self.farm.env['PATH']}"
        return chosen

    # --- what is written --------------------------------------------------------------------------------------

    def _text(self) -> str:
        self._count += 1
        lines = [f"int JOIN(v, __COUNTER__) = {self._count};"]
        lines += [self._line() for _ in range(self.dice.randint(0, 3))]
        if self.dice.random() < 0.3:
            lines.insert(0, "#pragma once")
        return "\n".join(["#ifndef __ASSEMBLER__", "#if __INCLUDE_LEVEL__ < 6", *lines, "#endif", "#endif", ""])

    def _line(self) -> str:
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
                f"#if JOIN(__has_, include)({spelled})\nint JOIN(p, __COUNTER__);\n#endif",
                f"#define ASK(f) __has_include(f)\n#if ASK({spelled})\nint JOIN(q, __COUNTER__);\n#endif\n#undef ASK",
                f"// {spelled}\rint JOIN(r, __COUNTER__);\n#if {ask}({spelled})\nint JOIN(s, __COUNTER__);\n#endif",
                "const char *JOIN(f, __COUNTER__) = __FILE__;",
                "const char *JOIN(t, __COUNTER__) = __TIMESTAMP__;",
                "const char *JOIN(d, __COUNTER__) = JOIN(__DA, TE__);",
                f'#line 7 "{name}"\nint JOIN(u, __COUNTER__) = "warn";',
                f'/* .incbin "i0/{name}" */\nconst char *JOIN(m, __COUNTER__) = ".incbin \\"i0/{name}\\"";',
                f'__asm__(".incbin \\"{name}\\"");' if self.dice.random() < 0.2 else "",
                "#include <stddef.h>\nsize_t JOIN(n, __COUNTER__);",
            ]
        )

    def _assembly(self) -> str:
        name = self.dice.choice(SPELLED)
        lines = [
            f'.if 0\n.incbin "{name}"\n.endif',
            f'.incbin "{name}"' if self.dice.random() < 0.3 else "",
            f'#if __has_include("{name}")\n.long 2\n#include "{name}"\n#endif',
            f'.include "{name}"' if self.dice.random() < 0.1 else ".long 3",
        ]
        return "\n".join([*self.dice.sample(lines, 2), ".long 1", ""])

    # --- what changes -----------------------------------------------------------------------------------------

    def _path(self, folders: Sequence[str] = FOLDERS) -> Path:
        return self.folder / self.dice.choice(folders) / self.dice.choice(NAMES)

    def _write(self) -> str:
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text())
        if self.dice.random() < 0.5:
            os.utime(path, ns=(OLD_NS, OLD_NS))
        return str(path)

    def _source(self) -> str:
        path = self.folder / self.dice.choice(["a.c", "b.cc", "c.S", "d.c"])
        path.write_text(self._assembly() if path.suffix == ".S" else self._text())
        return str(path)

    def _remove(self) -> str:
        path = self._path()
        path.unlink()
        return str(path)

    def _link(self) -> str:
        moves: list[Callable[[Path, Path], None]] = [os.link, _symlink]
        make = self.dice.choice(moves)
        new, old = self._path(), self._path()
        new.unlink(missing_ok=True)
        make(old, new)
        return f"{old} {new} by {make.__name__}"

    def _copy(self) -> str:
        old, new = self._path(), self._path()
        shutil.copy2(old, new)
        return f"{old} {new}"

    def _touch(self) -> str:
        path = self._path()
        os.utime(path, ns=(OLD_NS, OLD_NS + self.dice.choice([0, 10**9])))
        return str(path)

    def _own(self) -> str:
        """Another owner or mode. root reads it all the same, here and there."""
        path = self._path()
        if self.dice.random() < 0.5:
            path.chmod(self.dice.choice([0o000, 0o600, 0o666]))
        else:
            os.chown(path, 65534, 65534)
        return str(path)

    def _turn(self) -> str:
        """A folder becomes another folder, a symlink, or nothing."""
        folder = self.folder / self.dice.choice(FOLDERS[1:7])
        spare = self.folder / f"old{self._count}"
        self._count += 1
        folder.rename(spare)
        if self.dice.random() < 0.5:
            folder.symlink_to(self.dice.choice(["i0", "i1", "i2", "i3", spare.name, "nowhere"]))
        return f"{folder} {spare}"

    def _mount(self) -> str:
        """One folder is mounted over another, or what was mounted last is unmounted."""
        enter = ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt"]
        if self._mounted and self.dice.random() < 0.6:
            point = self._mounted.pop()
            subprocess.run([*enter, "umount", "--lazy", point], check=True, capture_output=True)
            return f"nothing over {point}"
        over, point = (self.folder / self.dice.choice(FOLDERS[1:5]) for _ in range(2))
        subprocess.run([*enter, "mount", "--bind", over, point], check=True, capture_output=True)
        self._mounted.append(point)
        return f"{over} over {point}"


def _symlink(old: Path, new: Path) -> None:
    os.symlink(os.path.relpath(old, new.parent), new)


@contextmanager
def own_mounts() -> Iterator[int]:
    """A process that holds a mount namespace, in which nothing that is mounted is seen elsewhere."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; read end"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def wander(farm: Farm, folder: Path, seed: int, steps: int) -> tuple[World, list[Step], Step | None]:
    """So many steps of one world; those that were the same, and the first that was not."""
    with own_mounts() as holder:
        try:
            return _wander(World(farm, folder, seed, holder), steps)
        finally:
            farm.end_agents()  # that of these mounts is of no use to others


def _wander(world: World, steps: int) -> tuple[World, list[Step], Step | None]:
    done: list[Step] = []
    for _ in range(steps):
        step = world.step()
        if step.differences:
            return world, done, step
        done.append(step)
        world.change()
    return world, done, None


def remote_share(steps: Sequence[Step]) -> float:
    """Of the compiles that succeed, the share that a server did."""
    succeeded = [step for step in steps if step.alone.status == 0]
    return sum(step.remote.remote for step in succeeded) / max(len(succeeded), 1)

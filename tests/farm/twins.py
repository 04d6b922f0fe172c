"""The same compile twice in the same place: by the compiler alone, and through securecc. And what a naive tree makes.

The place is made anew for each run, at the same path and with the same times, for debug information names it.
"""

import contextlib
import fcntl
import os
import pty
import shutil
import stat
import struct
import subprocess
import tempfile
import termios
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.farm.farmside import Farm
from tests.waiting import CEILING_S

Files = Mapping[Any, str | bytes]
"""Contents by name; both may be text or bytes."""
Env = Mapping[str, str | None]
"""None takes a variable away."""
Make = Callable[[Path], object] | Files
"""What makes a place, or what stands in it."""
OLD_NS = 1_500_000_000_000_000_000  # long ago, so that no file looks as if it had just been changed
_SAID = b"securecc: "
_WHERE = tuple(
    _SAID + said
    for said in (
        b"compiling locally: ",
        b"compiled on ",
        b"the agent says ",
        b"done by the agent",
        b"starting an agent ",
    )
)
_SYSTEM = ("/bin", "/lib", "/lib64", "/sbin")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind. `place` is empty unless securecc said where it compiled: ``remote``, or why not."""

    status: int
    out: bytes
    err: bytes
    files: Mapping[bytes, tuple[Any, ...]] = field(default_factory=dict)
    place: bytes = b""

    @property
    def remote(self) -> bool:
        return self.place == b"remote"

    @property
    def seen(self) -> tuple[Any, ...]:
        """All that a user can see."""
        return self.status, self.out, self.err, dict(self.files)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Which descriptors of a command are a terminal, and how wide it is."""

    descriptors: frozenset[int] = frozenset({0, 1, 2})
    columns: int = 80


def put(
    folder: Path,
    files: Files,
    mtime_ns: int = OLD_NS,
) -> None:
    """Writes files (a value that begins with ``->`` is a symlink), all with one time."""
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        text = content.encode() if isinstance(content, str) else content
        if text.startswith(b"->"):
            os.symlink(text[2:].strip(), path)
            continue
        with open(path, "wb") as file:
            file.write(text)
        os.utime(path, ns=(mtime_ns, mtime_ns))


def look(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Every path below: kind, mode, names of its inode, content or target."""
    found = {}
    for parent, folders, names in os.walk(os.fsencode(folder)):
        for name in (*folders, *names):
            path = os.path.join(parent, name)
            status = os.lstat(path)
            found[os.path.relpath(path, os.fsencode(folder))] = _looked(path, status)
    return _without_stamps(found)


def _looked(path: bytes, status: os.stat_result) -> tuple[Any, ...]:
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return ("folder", stat.S_IMODE(status.st_mode))
    if not stat.S_ISREG(status.st_mode):
        return ("other", status.st_mode)
    with open(path, "rb") as file:
        return ("file", stat.S_IMODE(status.st_mode), status.st_nlink, file.read())


def _without_stamps(found: dict[bytes, tuple[Any, ...]]) -> dict[bytes, tuple[Any, ...]]:
    """gcc writes the time of day (coverage.cc: bbg_file_stamp) into a .gcno and its object."""
    for path, seen in list(found.items()):
        if path.endswith(b".gcno") and seen[0] == "file":
            stamp = seen[-1][8:12]
            for beside in (path, path[:-5] + b".o"):
                if beside in found:
                    *kept, content = found[beside]
                    found[beside] = (*kept, content.replace(stamp, b"TIME"))
    return found


def execute(
    command: Sequence[str | bytes], cwd: Path | str, env: Mapping[str, str], terminal: Terminal | None = None
) -> Ran:
    """Runs it to its end, below a terminal if one is asked for."""
    if terminal is None:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, timeout=CEILING_S, check=False, stdin=subprocess.DEVNULL
        )
        return Ran(done.returncode, done.stdout, done.stderr)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, terminal.columns, 0, 0))
    streams = [slave if number in terminal.descriptors else subprocess.DEVNULL for number in range(2)]
    error = slave if 2 in terminal.descriptors else subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, env=env, stdin=streams[0], stdout=streams[1], stderr=error) as process:
        os.close(slave)
        said = _drain(master)
        if process.stderr:
            said += process.stderr.read()
    return Ran(process.returncode, b"", said)


def _drain(master: int) -> bytes:
    parts = []
    with contextlib.closing(os.fdopen(master, "rb", buffering=0)) as file:
        while True:
            try:
                parts.append(file.read(65536) or b"")
            except OSError:  # EIO: nobody holds the other end any more
                return b"".join(parts)


def through(ran: Ran) -> Ran:
    """As the user would see it who had not asked where it was compiled."""
    lines = ran.err.splitlines(keepends=True)
    own = [line[len(_SAID) :].strip() for line in lines if line.startswith(_WHERE)]
    rest = b"".join(line for line in lines if not line.startswith(_WHERE))
    place = b"remote" if any(line.startswith(b"compiled on ") for line in own) else b"; ".join(own)
    return Ran(ran.status, ran.out, rest, ran.files, place or b"silent")


class Twins:
    """One person's compiles below `folder`."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self.farm = farm
        self.folder = folder

    def env(self, extra: Env | None = None) -> dict[str, str]:
        """The farm's environment, C locale and no PWD but what a shell would have set."""
        env = {**self.farm.env, "LC_ALL": "C", **(extra or {})}
        return {name: value for name, value in env.items() if value is not None}

    def gcc(
        self, *command: str | bytes, env: Env | None = None, cwd: Path | str = "", terminal: Terminal | None = None
    ) -> Ran:
        """The compiler alone."""
        return execute(command, cwd or self.folder, self.env(env), terminal)

    def securecc(
        self, *command: str | bytes, env: Env | None = None, cwd: Path | str = "", terminal: Terminal | None = None
    ) -> Ran:
        """Through the launcher, which says where it went."""
        told = self.env({**(env or {}), "SECURECC_VERBOSE": "1"})
        return through(execute(("securecc", *command), cwd or self.folder, told, terminal))

    def both(
        self,
        make: Make,
        *command: str | bytes,
        env: Env | None = None,
        cwd: str = "",
        terminal: Terminal | None = None,
    ) -> tuple[Ran, Ran]:
        """(alone, through securecc), each in a place that was just made by `make` at the same path."""
        ran = []
        for compiler in (self.gcc, self.securecc):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            make(self.folder) if callable(make) else put(self.folder, make)
            done = compiler(*command, env=env, cwd=self.folder / cwd, terminal=terminal)
            ran.append(Ran(done.status, done.out, done.err, look(self.folder), done.place))
        return ran[0], ran[1]

    def same(self, make: Make, *command: str | bytes, **options: Any) -> Ran:
        """As `both`, and there is no difference, and a server did it."""
        alone, through = self.both(make, *command, **options)
        assert through.seen == alone.seen
        assert through.remote, through.place
        return alone

    def kept(self, reason: str, make: Make, *command: str | bytes, **options: Any) -> Ran:
        """As `both`, and the object does not differ, and it was made here for this reason."""
        self.farm.forget()
        alone, through = self.both(make, *command, **options)
        assert not through.remote
        objects = [{name: seen for name, seen in ran.files.items() if name.endswith(b".o")} for ran in (alone, through)]
        assert (through.status, through.err, objects[1]) == (alone.status, alone.err, objects[0])
        self.farm.counts(reason)
        return alone

    def make(self, files: Files) -> None:
        """The place, made anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        put(self.folder, files)

    def content(self, name: str | bytes) -> bytes:
        with open(os.path.join(os.fsencode(self.folder), os.fsencode(name)), "rb") as file:
            return file.read()

    def listed(self, *command: str | bytes, env: Env | None = None) -> list[Path]:
        """The files below the folder that `-M` names for this compile."""
        done = self.gcc(*command, "-M", env=env)
        assert done.status == 0, done.err
        names = done.out.decode().replace("\\\n", " ").split()[1:]
        spelled = (os.path.join(self.folder, name) for name in names)
        return [Path(name) for name in spelled if Path(name).resolve().is_relative_to(self.folder)]

    def naive(
        self,
        files: Iterable[Path],
        *command: str | bytes,
        env: Env | None = None,
        output: str = "",
        copy: Callable[[Path, Path], object] = shutil.copy,
    ) -> tuple[int, bytes]:
        """(status, object) of the compile where only these files stand, under the same paths: what a server makes that
        is sent what `-M` lists, and nothing else.
        """
        with tempfile.TemporaryDirectory() as bare:
            for file in files:
                place = Path(bare) / os.path.normpath(file.relative_to(self.folder))
                place.parent.mkdir(parents=True, exist_ok=True)
                copy(file, place)
            done = subprocess.run(
                [*_cell(bare, self.folder), *command],
                env={**self.env(env), "PWD": str(self.folder)},
                capture_output=True,
                check=False,
                timeout=CEILING_S,
            )
            made = Path(bare) / output
            return done.returncode, made.read_bytes() if output and made.is_file() else done.stderr


def _cell(bare: str, folder: Path) -> list[str]:
    """bwrap with the system's compiler, and `bare` in the place of `folder`."""
    links = [word for name in _SYSTEM if Path(name).is_symlink() for word in ("--symlink", os.readlink(name), name)]
    mounts = ["--ro-bind", "/usr", "/usr", *links, "--dev", "/dev", "--tmpfs", "/tmp"]
    return ["bwrap", *mounts, "--bind", bare, str(folder), "--chdir", str(folder)]

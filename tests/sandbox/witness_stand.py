"""A witness of the test's own, whose log and temporary files lie in the test's directory, in front of real programs."""

import os
import re
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from securecc.compiler.questions import Question, parse
from securecc.runner.witness_log import SIZE

SOURCES = Path(__file__).parents[2] / "securecc/sandbox/witness"
_HEADER = struct.Struct("=IIQQQII24x")
_FORM = int.from_bytes(b"SCW1", "little")


class Incomplete(Exception):
    """The log does not have all questions."""


class Stand:
    """The library, built from its sources, and a directory `place` that commands run in."""

    def __init__(self, top: Path) -> None:
        self.place, self.own = top / "w", top / "job"
        for folder in (self.place, self.own / "tmp"):
            folder.mkdir(parents=True)
        self.library, self.log = top / "witness.so", self.own / "witness"
        options = ("-shared", "-fPIC", "-O2", "-fvisibility=hidden", "-fno-builtin", "-nostdlib")
        more = ("-fno-tree-loop-distribute-patterns", "-fno-stack-protector", "-U_FORTIFY_SOURCE")
        where = f'-DFOLDER_OF_JOB="{self.own}/"'
        sources = (str(path) for path in SOURCES.glob("*.c"))
        subprocess.run(("gcc", *options, *more, where, "-o", str(self.library), *sources), check=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What commands see."""
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TMPDIR": str(self.own / "tmp"), **(extra or {})}

    def alone(self, *command: str, cwd: str = "", env: Mapping[str, str] | None = None) -> bytes:
        """What a command prints without a witness, its exit status first."""
        return _printed(self._run(command, cwd, self.environment(env)))

    def asked(
        self, *command: str, cwd: str = "", env: Mapping[str, str] | None = None
    ) -> tuple[bytes, tuple[Question, ...]]:
        """What it prints with one, and its questions, each once.

        Raises:
            Incomplete: the log says that there may be others.
        """
        self.begin()
        done = self._run(command, cwd, self.environment({"LD_PRELOAD": str(self.library), **(env or {})}))
        return _printed(done), self.questions()

    def begin(self) -> None:
        """A new log."""
        with self.log.open("wb") as file:
            file.write(_HEADER.pack(_FORM, 0, SIZE - _HEADER.size, 0, 0, 0, 0))
            file.truncate(SIZE)

    def questions(self) -> tuple[Question, ...]:
        """All that the log has.

        Raises:
            Incomplete: there may be others.
        """
        data = self.log.read_bytes()
        _, overflow, _, taken, finished, begun, started = _HEADER.unpack_from(data)
        if overflow or taken != finished or begun != started + 1:
            raise Incomplete(f"{overflow=} {taken=} {finished=} {begun=} {started=}")
        records = data[_HEADER.size : _HEADER.size + taken].split(b"\0")[:-1]
        return parse(b"\0".join(sorted(set(records))))

    def traced(self, *command: str, cwd: str = "", env: Mapping[str, str] | None = None) -> set[str]:
        """The paths of a command's system calls, normalised."""
        trace = self.own / "trace"
        calls = ("strace", "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-o", str(trace))
        self._run((*calls, *command), cwd, self.environment(env))
        lines = trace.read_text(errors="surrogateescape").splitlines()
        found = (re.search(r'\w+\((?:AT_FDCWD, )?"((?:[^"\\]|\\.)*)"', line) for line in lines)
        return {self.normal(_unescaped(match[1]), cwd) for match in found if match}

    def normal(self, path: str, cwd: str = "") -> str:
        """The absolute path, without dots."""
        return os.path.normpath(os.path.join(self.place, cwd, path))

    def _run(self, command: tuple[str, ...], cwd: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, cwd=self.place / cwd, env=env, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )


def _unescaped(text: str) -> str:
    """A path as strace shows it."""
    return os.fsdecode(text.encode().decode("unicode_escape").encode("latin-1"))


def _printed(done: subprocess.CompletedProcess[bytes]) -> bytes:
    return b"%d\n%s%s" % (done.returncode, done.stdout, done.stderr)

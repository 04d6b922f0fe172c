"""The launcher as built from source, and an agent played by the test, sharing one private runtime folder."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from securecc.client.ipc import agent_socket
from securecc.client.ipc.frames import Frame, Request, RequestReader, encode
from tests.waiting import CEILING_S

ROOT = Path(__file__).parents[3]
LAUNCHER = ROOT / "securecc/client/launcher"
SOURCES = sorted(LAUNCHER.rglob("*.c"))
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wvla", "-Wformat=2"]
VARIANTS = {
    "plain": ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"],
    "sanitized": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}


_BUILT: dict[str, Path] = {}


def build(variant: str) -> Path:
    """The launcher, whose agent's interpreter is `agent-python` beside it. Made once; `remove_builds` removes it."""
    if variant in _BUILT:
        return _BUILT[variant]
    folder = Path(tempfile.mkdtemp(prefix="launcher-"))
    agent = f'-DSECURECC_AGENT_PYTHON="{folder}/agent-python"'
    options = ["-std=c11", "-D_DEFAULT_SOURCE", f"-I{LAUNCHER}", *WARNINGS, *VARIANTS[variant], agent]
    subprocess.run(["gcc", *options, *SOURCES, "-o", folder / "securecc"], check=True)
    _BUILT[variant] = folder / "securecc"
    return _BUILT[variant]


def remove_builds() -> None:
    while _BUILT:
        shutil.rmtree(_BUILT.popitem()[1].parent)


class Rig:
    """A user: a working directory, an environment, a `gcc` that tells how it was run, and the agent's place."""

    def __init__(self, launcher: Path, scratch: Path) -> None:
        self.launcher = launcher
        self.runtime = Path(tempfile.mkdtemp(prefix="run-"))  # short: sun_path is
        self.cwd = scratch / "work"
        self.bin = scratch / "bin"
        self.cwd.mkdir()
        self.bin.mkdir()
        self.script(self.bin / "gcc", 'echo "compiled $0 $*"')
        self.environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.runtime), "HOME": "/"}
        self.environment["SECURECC_AGENT_TIMEOUT"] = f"{CEILING_S:.0f}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        shutil.rmtree(self.runtime)

    @staticmethod
    def script(path: Path, body: str, interpreter: str = "/bin/sh") -> Path:
        path.write_text(f"#!{interpreter}\n{body}\n")
        path.chmod(0o755)
        return path

    def agent_script(self, body: str) -> None:
        """What the launcher starts as its agent: Python, with `socket_path` and `ready` set from its arguments."""
        arguments = "import os, socket, sys, time\nsocket_path, ready = sys.argv[5], int(sys.argv[7])\n"
        self.script(self.launcher.parent / "agent-python", arguments + body, f"{sys.executable} -S")

    @property
    def socket(self) -> Path:
        before = dict(os.environ)
        os.environ.pop("KRB5_CONFIG", None)
        os.environ.update(self.environment)
        try:
            return agent_socket.socket_path()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def start(
        self, *arguments: str | Path, command: str | Path | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        settings: dict[str, Any] = {"cwd": self.cwd, "env": self.environment, "stdin": subprocess.DEVNULL} | options
        for stream in ("stdout", "stderr"):
            settings.setdefault(stream, subprocess.PIPE)
        process: subprocess.Popen[bytes] = subprocess.Popen([command or self.launcher, *arguments], **settings)
        self.processes.append(process)
        return process

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
        return finish(self.start(*arguments, **options))


def finish(process: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[bytes]:
    out, err = process.communicate(timeout=CEILING_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Agent:
    """The other end of one launcher: reads its replies, sends commands."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(rig.socket))
        self._listener.listen(8)
        self._listener.settimeout(CEILING_S)
        self._reader = RequestReader()
        self._frames: list[Frame] = []
        self.connection: socket.socket | None = None
        self.raw = b""

    def close(self) -> None:
        self._listener.close()
        if self.connection is not None:
            self.connection.close()

    def serve(self, *arguments: str | Path, **options: Any) -> tuple[subprocess.Popen[bytes], Request]:
        """Starts a launcher and takes its request."""
        if self.connection is not None:
            self.connection.close()
        process = self._rig.start(*arguments, **options)
        self.connection, _ = self._listener.accept()
        self.connection.settimeout(CEILING_S)
        self._reader, self._frames, self.raw = RequestReader(), [], b""
        request = self.report()
        assert isinstance(request, Request)
        return process, request

    def command(self, *frames: Frame | bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames))

    def report(self) -> Frame | None:
        """The launcher's next frame, or None when it has closed."""
        assert self.connection is not None
        while not self._frames:
            data = self.connection.recv(65536)
            if not data:
                return None
            self.raw = self.raw or data
            self._frames += self._reader.feed(data)
        return self._frames.pop(0)

    def hang_up(self) -> None:
        assert self.connection is not None
        self.connection.close()
        self.connection = None


def modes(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)

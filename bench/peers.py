"""Debian's distcc for comparison: one plain server, and one with --auth in the test bed's own realm."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_INCLUDE_SERVER = Path("/usr/lib/python3/dist-packages/include_server")
_LISTEN = "0A"  # in /proc/net/tcp
_START_S = 8.0


@dataclass(frozen=True, slots=True)
class Peer:
    """How to compile through a server: a word before the compiler, and the environment."""

    name: str
    prefix: tuple[str, ...]
    environment: dict[str, str]
    suffix: tuple[str, ...] = ()
    beside: int = 0
    """The process id of a client's helper, whose processor time counts as the client's; 0 for none."""


def bare() -> Peer:
    return Peer("bare", (), dict(os.environ))


def preprocessed() -> Peer:
    """The least work that a client can do if it sends preprocessed text."""
    return Peer("gcc -E", (), dict(os.environ), ("-E",))


def ours(**more: str) -> Peer:
    """securecc as the test bed sets it up, without fallback, so that no local compile is measured as remote."""
    return Peer("securecc", ("securecc",), {**os.environ, "SECURECC_FALLBACK": "0", **more})


@contextlib.contextmanager
def pump(where: Path, plain: Peer) -> Iterator[Peer]:
    """distcc's pump mode with the server of `plain` and a working include server (see bench/pump)."""
    folder = where / "pump"
    shutil.copytree(_INCLUDE_SERVER, folder, ignore=shutil.ignore_patterns("*.so", "*_test.py", "__pycache__"))
    shutil.copy(Path(__file__).with_name("pump") / "distcc_pump_c_extensions.py", folder)
    script = folder / "distcc-pump"
    script.write_text(Path("/usr/bin/distcc-pump").read_text().replace(str(_INCLUDE_SERVER), str(folder)))
    environment = {**plain.environment, "DISTCC_HOSTS": plain.environment["DISTCC_HOSTS"] + ",cpp,lzo"}
    environment |= {"TMPDIR": str(where), "DISTCC_LOCATION": "/usr/bin"}
    told = _output(["sh", script, "--startup"], environment)
    known = _output(["sh", "-c", f"{told}\nexec env -0"], environment)
    environment = dict(item.split("=", 1) for item in known.split("\0") if "=" in item)
    try:
        yield Peer("distcc pump", ("distcc",), environment, beside=int(environment["INCLUDE_SERVER_PID"]))
    finally:
        _output(["sh", script, "--shutdown"], environment)


def _output(command: list[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


@contextlib.contextmanager
def distcc(where: Path, jobs: int, *, authenticated: bool, path: str | None = None) -> Iterator[Peer]:
    """Runs a distccd; `path` is where it looks for compilers first."""
    name = "distcc --auth" if authenticated else "distcc"
    folder = where / name.replace(" ", "")
    folder.mkdir()
    folder.chmod(0o1777)
    (folder / "client").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "TMPDIR": str(folder)}
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    command = _distccd(port, jobs, folder)
    if authenticated:
        command.append("--auth")
        environment |= {
            "KRB5_KTNAME": str(_keytab(folder)),
            "DISTCCD_PRINCIPAL": "host/localhost",
            "KRB5RCACHEDIR": str(folder),
        }
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_listening(port, process, name)
        hosts = f"127.0.0.1:{port}/{jobs}" + (",auth" if authenticated else "")
        client = {
            "DISTCC_HOSTS": hosts,
            "DISTCC_FALLBACK": "0",
            "DISTCC_DIR": str(folder / "client"),
            "DISTCC_BACKOFF_PERIOD": "0",
        }
        yield Peer(name, ("distcc",), {**os.environ, **client})
    finally:
        process.terminate()
        process.wait(5)


def _distccd(port: int, jobs: int, folder: Path) -> list[str]:
    command = ["distccd", "--no-detach", "--daemon", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--allow", "127.0.0.1", "--jobs", str(jobs), "--nice", "0", "--log-file", str(folder / "log")]
    command += ["--enable-tcp-insecure"]
    return [*command, "--user", "distccd"] if os.getuid() == 0 else command


def _keytab(folder: Path) -> Path:
    """The keytab of host/localhost, copied to where distccd's user can read it."""
    keytab = folder / "keytab"
    shutil.copy(Path(os.environ["SECURECC_TESTENV"]) / "keytabs/host.keytab", keytab)
    if os.getuid() == 0:
        shutil.chown(keytab, "distccd")
    keytab.chmod(0o400)
    return keytab


def _wait_listening(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    """Checks without connecting, which distccd would count as a failed client."""
    wanted = f"0100007F:{port:04X}"
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in Path("/proc/net/tcp").read_text().splitlines():
            fields = line.split()
            if fields[1] == wanted and fields[3] == _LISTEN:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{name} does not listen on port {port} (status {process.poll()})")

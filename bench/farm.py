"""The compile server that is measured: its audit log, its processes, a second one with another compiler."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_BED = Path(os.environ.get("SECURECC_TESTENV", "/nonexistent"))
_READY = "securecc: ready"
_START_S = 20.0


def counts(server: Path = _BED / "server1") -> Counter[str]:
    """How many records of each kind are in the audit log; connections are counted by decision."""
    records = map(json.loads, (server / "audit.jsonl").read_text().splitlines())
    return Counter(f"{record['kind']} {record.get('decision', '')}".strip() for record in records)


def jobs_done(server: Path = _BED / "server1") -> int:
    """Jobs that the server has completed."""
    return counts(server)["job-end"]


def trees(count: int, server: Path = _BED / "server1") -> list[float]:
    """How long it took to build the trees of the last `count` jobs, in seconds."""
    ends = [line for line in (server / "audit.jsonl").read_text().splitlines() if '"kind":"job-end"' in line]
    return [json.loads(line)["usage"]["tree_s"] for line in ends[-count:]]


def handshakes(server: Path = _BED / "server1") -> int:
    """Connections that were authenticated and admitted."""
    return counts(server)["connection allowed"]


def processes(server: Path = _BED / "server1") -> dict[str, int]:
    """The pids of front and runner: secureccd and its child."""
    front = int((server / "pid").read_text())
    children = Path(f"/proc/{front}/task/{front}/children").read_text().split()
    return {"front": front, "runner": int(children[0])}


@contextlib.contextmanager
def another(name: str, toolchain: Path, slots: int) -> Iterator[tuple[Path, str]]:
    """Runs another secureccd in this test bed, offering `toolchain`; its folder and its entry for SECURECC_HOSTS."""
    model, folder = _BED / "server1", _BED / name
    folder.mkdir(mode=0o711)
    text = (model / "config.yaml").read_text().replace(str(model), str(folder))
    (usual,) = re.findall(r"^port: (\d+)$", text, re.MULTILINE)
    port = int(usual) + 10000
    text = re.sub(r"^port: .*$", f"port: {port}", text, flags=re.MULTILINE)
    text = re.sub(r"^slots: .*$", f"slots: {slots}", text, flags=re.MULTILINE)
    text = re.sub(r"^toolchains: .*$", f"toolchains: [{toolchain}]", text, flags=re.MULTILINE)
    (folder / "config.yaml").write_text(text)
    for part in ("keytab", "policy.yaml", "state", "scratch", "rcache"):
        _like(model / part, folder / part)
    _owner(model, folder)
    environment = {**os.environ, "KRB5RCACHEDIR": str(folder / "rcache")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["secureccd", "--config", str(folder / "config.yaml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
    (folder / "pid").write_text(f"{process.pid}\n")
    try:
        _wait_ready(folder / "log", process)
        yield folder, f"localhost:{port}/{slots}"
    finally:
        process.terminate()
        process.wait(10)


def _like(model: Path, copy: Path) -> None:
    """Copies a file; of a folder, only the owner and mode."""
    if model.is_dir():
        copy.mkdir()
    else:
        shutil.copy(model, copy)
    shutil.copymode(model, copy)
    _owner(model, copy)


def _owner(model: Path, copy: Path) -> None:
    status = model.stat()
    os.chown(copy, status.st_uid, status.st_gid)


def _wait_ready(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while _READY not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"secureccd does not start serving:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)

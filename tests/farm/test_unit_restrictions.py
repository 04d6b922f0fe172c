"""Front and runner below what their units take away, recreated without systemd: a compile still goes through, in the
whole sandbox, and the runner can reach neither network nor keytab.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.farm.farmside import TOP, Farm, Server, below, until
from tests.farm.test_services import said, users_of
from tests.waiting import CEILING_S

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounts and users of its own take root")

HERE = Path(__file__).parent
PLACE = Path(f"/tmp/securecc-test-units-{os.getpid()}")


@contextmanager
def below_unit(
    server: Server, only: str, writable: list[Path], hidden: list[Path]
) -> Iterator[subprocess.Popen[bytes]]:
    """One half of the daemon, as its own user from the beginning, below its unit's restrictions."""
    unit = TOP / "packaging/systemd" / {"front": "secureccd.service", "runner": "securecc-runner.service"}[only]
    daemon = [sys.executable, "-I", "-m", "securecc.cli.secureccd"]
    places = [":".join(map(str, paths)) for paths in (writable, hidden)]
    command = [sys.executable, HERE / "unitside.py", unit, str(users_of(server)[only]), *places, "--", *daemon]
    environment = {
        "PATH": "/usr/bin:/bin",
        "KRB5_CONFIG": str(server.krb5_config),
        "KRB5RCACHEDIR": str(server.folder / "rcache"),
    }
    with (server.folder / f"log-{only}").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--config", str(server.folder / "config.yaml"), "--only", only],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(CEILING_S)


@pytest.fixture
def idle(farm: Farm) -> Iterator[Server]:
    server = farm.server
    server.stop()
    users = users_of(server)
    PLACE.mkdir(mode=0o755)
    os.chown(PLACE, users["runner"], users["runner"])
    server.configure(runner_socket=str(PLACE / "runner"))
    for name in ("log-front", "log-runner"):
        (server.folder / name).touch()
    try:
        yield server
    finally:
        shutil.rmtree(PLACE)
        server.configure(runner_socket="/run/securecc/runner")
        server.start()


def test_a_compile_goes_through_below_both_units(farm: Farm, idle: Server, tmp_path: Path) -> None:
    users = users_of(idle)
    secrets = [idle.folder / name for name in ("keytab", "state", "audit.jsonl", "rcache")]
    runner = below_unit(idle, "runner", [PLACE, idle.folder / "scratch"], secrets)
    front = below_unit(idle, "front", [idle.folder, PLACE], [idle.folder / "scratch"])
    with runner as runner_process:
        until(lambda: (PLACE / "runner").exists() or runner_process.poll() is not None, what="the runner's socket")
        assert runner_process.poll() is None, said(idle, "runner")
        os.chown(PLACE / "runner", users["front"], users["front"])
        with front as front_process:
            until(
                lambda: "securecc: ready" in said(idle, "front") or front_process.poll() is not None,
                what="the front",
            )
            assert front_process.poll() is None, said(idle, "front") + said(idle, "runner")
            source = tmp_path / "a.cc"
            source.write_text('#include <string>\nstd::string f() { return "x"; }\n')
            done = farm.compile(source, "-O2", "-g", SECURECC_FALLBACK="0")
            assert (done.returncode, done.stderr) == (0, ""), said(idle, "front") + said(idle, "runner")
            start = farm.audit(kind="daemon", event="start")[-1]
            assert {"jail", "userns", "seccomp", "rlimits"} <= set(start["sandbox"])
            runners = [runner_process.pid, *below(runner_process.pid)]
            for pid in runners:
                assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
            root = f"/proc/{runner_process.pid}/root"
            assert os.stat(f"{root}{idle.folder}/keytab").st_size == 0, "another file lies over it"
            assert "CapBnd:\t0000000000000000" in Path(f"/proc/{front_process.pid}/status").read_text()
    assert "Traceback" not in said(idle, "front") + said(idle, "runner")

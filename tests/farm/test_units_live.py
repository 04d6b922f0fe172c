"""The units on a machine whose first process is systemd: installed, started, reloaded; skipped elsewhere."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

UNITS = ("secureccd.service", "securecc-runner.service")
FIRST = Path("/proc/1/comm").read_text().strip()

pytestmark = [
    pytest.mark.skipif(FIRST != "systemd", reason=f"the first process is {FIRST}, not systemd: no unit can be started"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root starts units"),
    pytest.mark.skipif(
        FIRST == "systemd"
        and subprocess.run(["systemctl", "cat", *UNITS], capture_output=True, check=False).returncode != 0,
        reason="securecc is not installed here: make install",
    ),
]


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemctl", "--no-pager", *words], capture_output=True, text=True, check=False)


def shown(unit: str, *names: str) -> dict[str, str]:
    wanted = ",".join(names)
    lines = systemctl("show", "--property", wanted, unit).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    """Both services, as they were before when the tests are through."""
    before = {unit: systemctl("is-active", unit).stdout.strip() for unit in UNITS}
    started = systemctl("start", "secureccd.service")
    assert started.returncode == 0, started.stderr
    yield
    for unit, was in before.items():
        if was != "active":
            systemctl("stop", unit)


def test_each_is_of_its_own_user_and_none_is_root(running: None) -> None:
    users = {}
    for unit in UNITS:
        pid = shown(unit, "MainPID")["MainPID"]
        users[unit] = Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]
    assert len(set(users.values())) == 2
    assert "0" not in users.values()


def test_the_runner_has_no_network_and_its_own_control_groups(running: None) -> None:
    pid = shown("securecc-runner.service", "MainPID")["MainPID"]
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/1/ns/net")
    group = shown("securecc-runner.service", "ControlGroup", "Delegate")
    assert group["Delegate"] == "yes"
    enabled = Path(f"/sys/fs/cgroup{group['ControlGroup']}/cgroup.subtree_control").read_text().split()
    assert {"cpu", "memory", "pids"} <= set(enabled)


def test_a_good_reload_and_a_bad_one(running: None) -> None:
    assert systemctl("reload", "secureccd.service").returncode == 0
    policy = Path("/etc/securecc/policy.yaml")
    kept = policy.read_bytes()
    try:
        policy.write_bytes(b"nonsense\n")
        assert systemctl("reload", "secureccd.service").returncode != 0
    finally:
        policy.write_bytes(kept)
    assert systemctl("is-active", "secureccd.service").stdout == "active\n"
    assert systemctl("reload", "secureccd.service").returncode == 0


def test_a_front_that_hangs_is_started_anew(running: None) -> None:
    before = shown("secureccd.service", "MainPID")["MainPID"]
    os.kill(int(before), 19)  # SIGSTOP: its watchdog hears nothing any more
    deadline = time.monotonic() + 100
    while shown("secureccd.service", "MainPID")["MainPID"] in (before, "0") and time.monotonic() < deadline:
        time.sleep(0.5)
    assert shown("secureccd.service", "MainPID")["MainPID"] not in (before, "0")

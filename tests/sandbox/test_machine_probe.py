"""What a machine has for a sandbox, as its files say it; a folder stands for the root directory."""

import os
import sys
from pathlib import Path

import pytest

from securecc.sandbox import machine_probe

NOBODY = 64987


def test_this_machine() -> None:
    """A user who is not root makes namespaces here, or the runner's own tests would not run."""
    found = machine_probe.examine((NOBODY, NOBODY) if os.getuid() == 0 else None)
    assert found.obstacle == ""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine_probe, "_obstacle", lambda _user: "")
    for folder in ("proc/sys/kernel", "proc/sys/user", "proc/1", "sys/kernel/security", "run/systemd"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_switches_and_modules(root: Path) -> None:
    (root / "proc/sys/kernel/unprivileged_userns_clone").write_text("0\n")
    (root / "proc/sys/kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    (root / "proc/sys/user/max_user_namespaces").write_text("nonsense\n")
    (root / "sys/kernel/security/lsm").write_text("lockdown,landlock,apparmor\n")
    found = machine_probe.examine(root=str(root) + "/")
    assert (found.unprivileged_userns_clone, found.apparmor_restricts, found.max_user_namespaces) == (0, 1, None)
    assert found.modules == ("lockdown", "landlock", "apparmor")
    assert found.container == ""


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("proc/1/environ", "PATH=/bin\0container=lxc\0TERM=x\0", "lxc"),
    ],
)
def test_containers(root: Path, path: str, text: str, kind: str) -> None:
    (root / path).write_text(text)
    assert machine_probe.examine(root=str(root) + "/").container == kind


def test_what_keeps_a_runner_from_its_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a place where the kernel gives none: below a limit of no namespaces at all."""
    monkeypatch.setattr(
        machine_probe, "_TRY", "from securecc.model.errors import SandboxError\nraise SandboxError('x: no', 'y')"
    )
    assert machine_probe.examine().obstacle == "x: no; y"
    monkeypatch.setattr(machine_probe, "_TRY", "import os; os._exit(1)")
    assert machine_probe.examine().obstacle == "it printed nothing"
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert "cannot be tried" in machine_probe.examine().obstacle

"""What this machine offers for a sandbox: kernel switches, what its container allows, Landlock, control groups."""

import contextlib
import os
import subprocess
import sys

from securecc.model import limits
from securecc.sandbox.machine_advice import Machine

_LOOK_S = 20.0  # for a child that tries something; starting an interpreter takes 0.1 s
_TRY = "from securecc.sandbox import namespaces\nnamespaces.harden()\nnamespaces.enter()\n"
_SETTINGS = {
    "unprivileged_userns_clone": "kernel/unprivileged_userns_clone",
    "max_user_namespaces": "user/max_user_namespaces",
    "apparmor_restricts": "kernel/apparmor_restrict_unprivileged_userns",
}
_CONTAINERS = (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"))


def examine(user: tuple[int, int] | None = None, root: str = "/") -> Machine:
    """Examines all of it; namespaces as `user` (uid, gid), or as this process's own user if that is None. `root`
    stands for the root directory in tests.
    """
    switches = {name: _number(os.path.join(root, "proc/sys", path)) for name, path in _SETTINGS.items()}
    modules = tuple(name for name in _text(os.path.join(root, "sys/kernel/security/lsm")).strip().split(",") if name)
    return Machine(container=_container(root), modules=modules, obstacle=_obstacle(user), **switches)


def _container(root: str) -> str:
    """What systemd-detect-virt(1) would say, for when it is not installed."""
    for path, kind in _CONTAINERS:
        if os.path.exists(root + path):
            return kind
    if said := _text(os.path.join(root, "run/systemd/container")).strip():
        return said
    for word in _text(os.path.join(root, "proc/1/environ")).split("\0"):
        if word.startswith("container="):
            return word.partition("=")[2]
    return ""


def _obstacle(user: tuple[int, int] | None) -> str:
    """Why a child cannot make the namespaces that a runner lives in; empty if it can."""
    someone = {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _TRY],
            capture_output=True,
            text=True,
            timeout=_LOOK_S,
            check=False,
            cwd="/",
            **someone,  # type: ignore[call-overload]
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it cannot be tried: {error}"
    last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    return last.rpartition("SandboxError: ")[2] if done.returncode else ""


def _number(path: str) -> int | None:
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return None


def _text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(limits.SETTINGS_FILE)
    except OSError:
        return ""

"""Checks of this machine as a compile server."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from securecc.channel.kerberos import check_keytab
from securecc.daemon import file_permissions
from securecc.daemon.settings import DaemonSettings, User, read_settings
from securecc.model import limits
from securecc.model.errors import SandboxError, SecureccError
from securecc.model.finding import Finding, State
from securecc.policy.policy_in_force import PolicyInForce
from securecc.runner.runner_spawner import command, runner_config, start
from securecc.runner_protocol.messages import WorkReady
from securecc.runner_protocol.packets import memory, pair
from securecc.sandbox import bubblewrap, cgroup, jail, landlock, machine_advice, machine_probe, seccomp
from securecc.server.execution.runner_client import RunnerClient

_LAST = 256 * limits.KIB  # of the audit log, searched for the daemon's last start
_HOW_TO_READ = "run it as root, or as the daemon's own user"


def examine(config: Path) -> list[Finding]:
    """All findings; each depends only on those before it."""
    try:
        settings = read_settings(config)
    except SecureccError as error:
        return [Finding("configuration", "bad", error.message, error.advice or ""), *_machine(None)]
    return [
        Finding("configuration", "ok", os.fspath(config)),
        _policy(settings),
        _keytab(settings),
        _files(settings),
        *_reading(settings, config),
        *_machine(_runner(settings)),
        *_compilers(settings),
        _running(settings),
    ]


def _policy(settings: DaemonSettings) -> Finding:
    def check() -> str:
        policy = PolicyInForce(settings.policy, owners=file_permissions.owners(settings))
        return f"{settings.policy}, revision {policy.revision[:12]}"

    return _tried("policy", check)


def _keytab(settings: DaemonSettings) -> Finding:
    def check() -> str:
        check_keytab(os.fspath(settings.keytab), settings.accepts)
        return f"{settings.keytab} has keys of {settings.accepts}"

    return _tried("keytab", check)


def _files(settings: DaemonSettings) -> Finding:
    def check() -> str:
        file_permissions.check(settings)
        return "keytab, audit log and state belong to the daemon, and so do all folders above them"

    return _tried("files", check)


def _reading(settings: DaemonSettings, config: Path) -> Iterator[Finding]:
    """Whether the daemon's two users can read what they need, as root always can."""
    if os.getuid() != 0 or settings.users is None:
        return
    front, runner = settings.users.front, settings.users.runner
    wanted = [(front, config), (front, settings.policy), (front, settings.keytab), (runner, config)]
    there = [(user, path) for user, path in wanted if path.exists()]
    barred = [(user, path) for user, path in there if not _may_read(user, path)]
    for user, path in barred:
        owner = f"chown {user.name} {path}; chmod 0400 {path}"
        advice = owner if path == settings.keytab else f"chgrp {user.gid} {path}; chmod g+r {path}"
        yield Finding("access", "bad", f"user {user.name} cannot read {path}", f"{advice}; or let it enter the folder")
    if len(there) == len(wanted) and not barred:
        says = f"{front.name} can read configuration, policy and keytab, {runner.name} the configuration"
        yield Finding("access", "ok", says)


def _may_read(user: User, path: Path) -> bool:
    test = ["/usr/bin/test", "-r", os.fspath(path)]
    return subprocess.run(test, user=user.uid, group=user.gid, extra_groups=[], check=False).returncode == 0


def _machine(runner: User | None) -> Iterator[Finding]:
    found = machine_probe.examine(None if runner is None else (runner.uid, runner.gid))
    yield machine_advice.namespaces(found)
    yield _tried("system calls", lambda: f"a filter of {len(seccomp.program()) // 8} rules", lack="note")
    yield machine_advice.landlock(landlock.abi(), found.modules)
    yield machine_advice.groups(_place(), cgroup.CONTROLLERS)
    yield _program("the jail", jail.find)
    yield _program("bubblewrap", bubblewrap.find)


def _place() -> machine_advice.CgroupPlacement:
    """The control group of the runner's service if it runs, else of this process."""
    place = cgroup.placement()
    service = os.path.join(place.mount, "system.slice/securecc-runner.service")
    return cgroup.placement_at(place.mount, service) if place.mount and os.path.isdir(service) else place


def _program(name: str, find: Callable[[], bytes]) -> Finding:
    return _tried(name, lambda: os.fsdecode(find()), lack="note")


def _tried(subject: str, look: Callable[[], str], lack: State = "bad") -> Finding:
    try:
        return Finding(subject, "ok", look())
    except SecureccError as error:
        return Finding(subject, lack, error.message, error.advice or "")


def _runner(settings: DaemonSettings) -> User | None:
    return settings.users.runner if settings.users is not None and os.getuid() == 0 else None


def _compilers(settings: DaemonSettings) -> Iterator[Finding]:
    """Starts a runner as the daemon does, and reports what it offers."""
    if os.getuid() == 0 and settings.users is None:
        yield Finding("compilers", "bad", "the daemon would run as root", "set `users:` in config.yaml")
        return
    try:
        ready = asyncio.run(_ready(settings))
    except SandboxError as error:
        yield Finding("compilers", "bad", error.message, "see the lines above")
        return
    names = ", ".join(offer.name for offer in ready.toolchains)
    yield Finding("compilers", "ok", names) if names else Finding("compilers", "bad", "none is usable")
    yield machine_advice.layers(ready.layers, _without_groups(settings), by="a runner started here")


def _without_groups(settings: DaemonSettings) -> list[str]:
    """The required layers, without control groups: what the service manager gives the service cannot be seen here."""
    return [name for name in settings.sandbox_minimum if name not in cgroup.LAYERS]


async def _ready(settings: DaemonSettings) -> WorkReady:
    ours, theirs = pair()
    told = memory(msgspec.json.encode(runner_config(settings, _runner(settings))))
    process = start(command("runner", theirs.fileno(), told), (theirs.fileno(), told))
    theirs.close()
    os.close(told)
    dispatch = RunnerClient(ours, lambda _reason: None)
    try:
        async with asyncio.timeout(limits.RUNNER_START_S):
            return await dispatch.ready()
    except TimeoutError as error:
        raise SandboxError(f"a runner was not ready within {limits.RUNNER_START_S:.0f} s") from error
    finally:
        dispatch.close()
        await asyncio.to_thread(process.wait)


def _running(settings: DaemonSettings) -> Finding:
    """The running daemon, according to its audit log."""
    listening = is_listening(settings)
    start_record = None
    try:
        with contextlib.suppress(FileNotFoundError):
            start_record = _last_start(settings.audit.file)
    except OSError as error:
        return Finding("daemon", "note", f"{settings.audit.file}: {error.strerror}", _HOW_TO_READ)
    if start_record is None:
        return Finding("daemon", "note", "it has never started", "systemctl start secureccd")
    says = f"started {start_record['time']}, with {' '.join(start_record['sandbox'])}"
    if not listening:
        return Finding("daemon", "note", f"it does not answer; it last {says}", "systemctl status secureccd")
    return Finding("daemon", "ok", says)


def is_listening(settings: DaemonSettings) -> bool:
    """Whether something accepts connections on an address and the port of the settings."""
    for address in settings.listen:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - "any" means this machine
        with contextlib.suppress(OSError), socket.create_connection((host, settings.port), timeout=2):
            return True
    return False


def _last_start(path: Path) -> dict[str, Any] | None:
    """The daemon's last start according to its audit log; None if there is none.

    Raises:
        OSError: the log cannot be read.
    """
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST))
        lines = file.read(_LAST).splitlines()
    for line in reversed(lines):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # not complete, or of another kind
            record = json.loads(line)
            if (record["kind"], record["event"]) == ("daemon", "start"):
                return {"time": str(record["time"]), "sandbox": list(map(str, record["sandbox"]))}
    return None

"""`secureccd --config FILE`: the daemon, in the foreground, as front and runner."""

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securecc import __version__
from securecc.audit.trail import AuditTrail
from securecc.policy.force import PolicyInForce
from securecc.server.courier import memory, pair
from securecc.server.front import Equipment, Front
from securecc.server.nursery import command, start
from securecc.server.runner import RunnerConfig
from securecc.server.settings import ServerSettings, User, read_settings
from securecc.server.store import Store
from securecc.words.errors import ConfigError, SecureccError

CONFIG = Path("/etc/securecc/config.yaml")
SITE = Path(msgspec.__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the command; the exit status is 0 after SIGTERM, 1 when the daemon could not start or go on."""
    parser = argparse.ArgumentParser(prog="secureccd", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="configuration file (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="read configuration and policy, say what is wrong, end")
    parser.add_argument("--version", action="version", version=f"secureccd {__version__}")
    chosen = parser.parse_args(arguments)
    try:
        settings = read_settings(chosen.config)
        _log_to_stderr(settings.log_level)
        if chosen.check:
            PolicyInForce(settings.policy)
            print(f"{chosen.config}: fine")
            return 0
        return _serve(settings, Path(os.path.abspath(chosen.config)))
    except SecureccError as error:
        print(f"secureccd: {error}", file=sys.stderr)
        return 1


def _serve(settings: ServerSettings, config: Path) -> int:
    """Starts the runner, and the nursery of later ones, becomes the front's user, serves."""
    _check_users(settings)
    _make_folders(settings)
    ours, theirs = zip(pair(), pair(), strict=True)
    helpers = _start_helpers(settings, config, *theirs)
    try:
        if settings.users is not None and os.getuid() == 0:
            _become(settings.users.front)
        _raise_descriptors()
        return asyncio.run(_front(settings, *ours))
    finally:
        for end in ours:
            end.close()
        for helper in helpers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                helper.wait(5)
            helper.kill()
            helper.wait()


async def _front(settings: ServerSettings, runner: socket.socket, nursery: socket.socket) -> int:
    policy = PolicyInForce(settings.policy)
    audit = AuditTrail(settings.audit, settings.state)
    bounds = settings.limits
    store = Store(settings.state / "store", limit=bounds.store, quota=bounds.store_per_principal)
    return await Front(Equipment(settings, policy, audit, store, runner, nursery)).run()


def _check_users(settings: ServerSettings) -> None:
    if os.getuid() == 0 and settings.users is None:
        raise ConfigError("secureccd was started as root and knows nobody else to be", "set `users:` in config.yaml")


def _make_folders(settings: ServerSettings) -> None:
    """State and scratch, if they are not there, for the front alone."""
    for folder in (settings.state, settings.scratch, settings.audit.file.parent):
        if folder.is_dir():
            continue
        try:
            folder.mkdir(mode=0o700, parents=True)
            if settings.users is not None and os.getuid() == 0:
                os.chown(folder, settings.users.front.uid, settings.users.front.gid)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be made: {error.strerror}", "make it, or name another place") from error


def _start_helpers(
    settings: ServerSettings, config: Path, runner: socket.socket, nursery: socket.socket
) -> "list[subprocess.Popen[bytes]]":
    """Starts runner and nursery at these ends, which are theirs from now on."""
    told = msgspec.json.encode(_runner_config(settings))
    helpers = []
    for module, end, more in (("runner", runner, ()), ("nursery", nursery, ("--config", os.fspath(config)))):
        descriptor = memory(told)
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            helpers.append(start(command(module, end.fileno(), descriptor, *more), (end.fileno(), descriptor)))
        finally:
            os.close(descriptor)
            end.close()
    return helpers


def _runner_config(settings: ServerSettings) -> RunnerConfig:
    become = settings.users.runner if settings.users is not None and os.getuid() == 0 else None
    return RunnerConfig(
        compilers=tuple(os.fspath(path) for path in settings.toolchains),
        base=os.fspath(settings.scratch),
        uid=become.uid if become is not None else 0,
        gid=become.gid if become is not None else 0,
        sandbox=settings.sandbox,
        layers=None if settings.layers is None else tuple(os.fspath(path) for path in settings.layers),
    )


def _become(user: User) -> None:
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    os.environ["HOME"] = "/"
    os.umask(0o077)
    _check_reach(user, (sys.executable, os.__file__, str(SITE)))


def _check_reach(user: User, places: Sequence[str]) -> None:
    """Python imports when it needs to: what the front's user cannot read would break the daemon much later."""
    for place in places:
        if not os.access(place, os.R_OK):
            advice = "install securecc and its Python where everybody may read them, not in a closed home"
            raise ConfigError(f"user {user.name} cannot read {place}", advice)


def _raise_descriptors() -> None:
    """The store keeps blobs open, and a channel is a descriptor as well."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format="%(message)s")


if __name__ == "__main__":
    raise SystemExit(main())

"""`secureccd --config FILE`: the daemon, in the foreground, as front and runner, or as one of them."""

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from securecc import __version__
from securecc.audit.signed_log import SignedAuditLog
from securecc.daemon import file_permissions, privileges
from securecc.daemon.service_manager import ServiceManager, service_manager
from securecc.daemon.settings import DaemonSettings, read_settings
from securecc.model import heap
from securecc.model.errors import ConfigError, SecureccError
from securecc.model.printable import PrintableFormatter, PrintableStream
from securecc.model.redaction import Redaction
from securecc.policy.policy_in_force import PolicyInForce
from securecc.runner.runner_service import RunnerService, connect, prepare_groups
from securecc.runner.runner_spawner import command, runner_config, start
from securecc.runner_protocol.packets import memory, order_runner, pair
from securecc.sandbox import cgroup
from securecc.server.blobs.blob_store import BlobStore
from securecc.server.front import Equipment, Front

CONFIG = Path("/etc/securecc/config.yaml")
SITE = Path(msgspec.__file__).parent

_END_S = 5.0

log = logging.getLogger("securecc")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Exit status: 0 after SIGTERM, 1 if the daemon cannot start or continue."""
    parser = argparse.ArgumentParser(prog="secureccd", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help="configuration file (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="check configuration and policy, then exit")
    parser.add_argument(
        "--only", choices=("front", "runner"), help="run one half of the daemon, as a service of its own"
    )
    parser.add_argument("--version", action="version", version=f"secureccd {__version__}")
    with contextlib.redirect_stderr(PrintableStream(sys.stderr)):  # type: ignore[type-var]
        return _run(parser.parse_args(arguments))


def _run(chosen: argparse.Namespace) -> int:
    try:
        settings = read_settings(chosen.config)
        log_to_stderr(settings.log_level, Redaction(settings.audit.redact))
        if chosen.check:
            file_permissions.check(settings)
            PolicyInForce(settings.policy, owners=file_permissions.owners(settings))
            print(f"{chosen.config}: valid")
            return 0
        return serve(settings, Path(os.path.abspath(chosen.config)), chosen.only)
    except SecureccError as error:
        print(f"secureccd: {error}", file=sys.stderr)
        return 1


def serve(settings: DaemonSettings, config: Path, only: str | None) -> int:
    """Serves as both halves of the daemon, or as `only` one of them (front, runner); the exit status.

    Raises:
        SecureccError: the daemon cannot start.
    """
    started_by = service_manager()
    _check_users(settings)
    if only == "runner":
        return RunnerService(settings, config, started_by).run()
    if only == "front":
        return _serve_alone(settings, started_by)
    return _serve_both(settings, config, started_by)


def _serve_alone(settings: DaemonSettings, started_by: ServiceManager) -> int:
    """Serves as the front of a runner that is a service of its own and starts runners when asked."""
    file_permissions.make_folders(settings, settings.state, settings.audit.file.parent)
    _become_front(settings)
    with connect(settings.runner_socket) as spawner, order_runner(spawner, ()) as runner:
        return asyncio.run(serve_front(settings, started_by, runner, spawner))


def _serve_both(settings: DaemonSettings, config: Path, started_by: ServiceManager) -> int:
    """Starts the first runner, and the spawner of later ones, then becomes the front's user and serves."""
    file_permissions.make_folders(settings, settings.state, settings.audit.file.parent, settings.scratch)
    ours, theirs = zip(pair(), pair(), strict=True)
    helpers = _start_helpers(settings, config, *theirs)
    try:
        _become_front(settings)
        return asyncio.run(serve_front(settings, started_by, *ours))
    finally:
        for end in ours:
            end.close()
        for helper in helpers:
            wait_for(helper)


def wait_for(helper: "subprocess.Popen[bytes]") -> None:
    """Waits for a helper, which ends once its socket is closed. One that does not may belong to another user by now."""
    try:
        helper.wait(_END_S)
    except subprocess.TimeoutExpired:
        log.error("process %d does not exit: %s", helper.pid, " ".join(map(str, helper.args)))  # type: ignore[arg-type] # noqa: TRY400
        with contextlib.suppress(PermissionError):
            helper.kill()


def _become_front(settings: DaemonSettings) -> None:
    if settings.users is not None and os.getuid() == 0:
        privileges.become(settings.users.front, (sys.executable, os.__file__, str(SITE)))
    privileges.harden()


async def serve_front(
    settings: DaemonSettings, started_by: ServiceManager, runner: socket.socket, spawner: socket.socket
) -> int:
    """Serves as the front, with the sockets of a runner and of its spawner; the exit status.

    Raises:
        SecureccError: the daemon cannot start.
    """
    file_permissions.check(settings)
    policy = PolicyInForce(settings.policy)
    audit = SignedAuditLog(settings.audit, settings.state)
    bounds = settings.limits
    store = BlobStore(settings.state / "store", limit=bounds.store, quota=bounds.store_per_principal)
    heap.freeze_gc()
    return await Front(Equipment(settings, policy, audit, store, runner, spawner, started_by)).run()


def _check_users(settings: DaemonSettings) -> None:
    if os.getuid() == 0 and settings.users is None:
        raise ConfigError(
            "refusing to run as root: no unprivileged users are configured", "set `users:` in config.yaml"
        )


def _start_helpers(
    settings: DaemonSettings, config: Path, runner: socket.socket, spawner: socket.socket
) -> "list[subprocess.Popen[bytes]]":
    """Starts runner and spawner with these sockets, which are closed here."""
    become = settings.users.runner if settings.users is not None and os.getuid() == 0 else None
    groups = prepare_groups(settings, become)
    told = msgspec.json.encode(runner_config(settings, become, groups))
    helpers = []
    for module, end, more in (("runner", runner, ()), ("runner_spawner", spawner, ("--config", os.fspath(config)))):
        descriptor = memory(told)
        try:
            helpers.append(start(command(module, end.fileno(), descriptor, *more), (end.fileno(), descriptor)))
            if groups:
                cgroup.join(groups, helpers[-1].pid)
        finally:
            os.close(descriptor)
            end.close()
    return helpers


def log_to_stderr(level: str, redaction: Redaction) -> None:
    """Logs to standard error, without characters that a terminal acts upon or secrets that the site has named."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s", redaction.prose))
    logging.basicConfig(level=level.upper(), handlers=[handler])


if __name__ == "__main__":
    raise SystemExit(main())

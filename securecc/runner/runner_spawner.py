"""The process that starts more runners.

It runs as ``python -I -m securecc.runner.runner_spawner --fd N --config-fd M --config FILE``.

A runner that has left the host's files cannot see what is installed later. The spawner keeps access to them, as the
runner's user, and starts a new runner when the front asks. It trusts nothing from the front: it reads from the daemon's
configuration itself which compilers to offer. It exits when the front does.
"""

import argparse
import codecs
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from securecc.daemon.settings import DaemonSettings, User, read_settings
from securecc.model import limits
from securecc.model.errors import ConfigError, SecureccError
from securecc.runner import runner
from securecc.runner.config import RunnerConfig, read_config
from securecc.runner.log import log
from securecc.runner_protocol.messages import WorkRunner
from securecc.runner_protocol.packets import memory
from securecc.sandbox import namespaces, process_tree

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""The interpreter and options that runner and spawner are started with."""

_ENDS = (signal.SIGCHLD, signal.SIGTERM)
_END_S = 5.0
_LOOK_S = 0.005


def command(module: str, end: int, config: int, *more: str) -> list[str]:
    """The command line of a runner or spawner: `end` is the front's socketpair, `config` a descriptor that holds the
    configuration.
    """
    python = [sys.executable, "-I", "-m", f"securecc.runner.{module}"]
    return [*python, "--fd", str(end), "--config-fd", str(config), *more]


def start(arguments: Sequence[str], descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Starts one of them, with standard error, these descriptors, and no others."""
    return subprocess.Popen(
        arguments,
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
    )


def runner_config(settings: DaemonSettings, become: User | None = None, groups: str = "") -> RunnerConfig:
    """A runner's configuration under these settings. `become` is the user that root becomes; `groups` as in
    `RunnerConfig`.
    """
    return RunnerConfig(
        compilers=tuple(os.fspath(path) for path in settings.toolchains),
        base=os.fspath(settings.scratch),
        uid=become.uid if become is not None else 0,
        gid=become.gid if become is not None else 0,
        sandbox=settings.sandbox,
        shared_trees=None
        if settings.shared_trees is None
        else tuple(os.fspath(path) for path in settings.shared_trees),
        groups=groups,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until the front has gone. Exit status 0, or 1 with one line on standard error."""
    options = argparse.ArgumentParser(prog="securecc.runner.runner_spawner")
    options.add_argument("--fd", type=int, required=True, help="the front's socketpair")
    options.add_argument("--config-fd", type=int, required=True, help="where the runners' configuration is read from")
    options.add_argument("--config", type=Path, required=True, help="the daemon's configuration")
    chosen = options.parse_args(arguments)
    try:
        RunnerSpawner(read_config(chosen.config_fd), chosen.config).serve(socket.socket(fileno=chosen.fd))
    except SecureccError as error:
        log(str(error), "spawner")
        return 1
    return 0


class RunnerSpawner:
    """Starts runners and reaps them."""

    def __init__(self, config: RunnerConfig, daemon: Path) -> None:
        """`config` is what runners are told, except for what the daemon's configuration file, `daemon`, says when one
        starts.
        """
        self._config = config
        self._daemon = daemon
        self._runners: set[int] = set()

    def serve(self, end: socket.socket) -> None:
        """Takes the front's packets until there are no more.

        Raises:
            SandboxError: the system refuses to change the user.
        """
        codecs.lookup("utf-8-sig")  # these read the configuration; Python's files are readable now
        if os.getuid() == 0 and self._config.uid and self._config.gid:
            namespaces.switch_user(self._config.uid, self._config.gid)
        namespaces.harden()
        namespaces.become_subreaper()
        signal.signal(signal.SIGCHLD, lambda *_: self._bury())
        signal.signal(signal.SIGTERM, lambda *_: self._kill())
        with end:
            while True:
                packet, descriptors, _, _ = socket.recv_fds(end, limits.WORK_PACKET, 1)
                if not packet:
                    break
                self._answer(packet, descriptors)
        self._end()

    def _answer(self, packet: bytes, descriptors: Sequence[int]) -> None:
        """Gives the descriptor to a new runner; if none starts, the front sees end of file."""
        try:
            order = msgspec.msgpack.decode(packet, type=WorkRunner)
            if len(descriptors) == 1:
                self._start(order, descriptors[0])
            else:
                log(
                    f"no further runner: the front sent {len(descriptors)} descriptors instead of one",
                    "spawner",
                )
        except (SecureccError, msgspec.DecodeError, ValueError, OSError) as error:
            log(f"no further runner: {error}", "spawner")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _start(self, order: WorkRunner, end: int) -> None:
        have = tuple(digest.hex() for digest in order.have)
        config = msgspec.structs.replace(self._configured(), have=have, trees=order.trees)
        descriptor = memory(msgspec.json.encode(config))
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # a child that is not known yet cannot be reaped
        try:
            child = os.fork()  # forked, not executed: its user may not be able to read Python's files
            if not child:
                _be_runner(end, descriptor)
            self._runners.add(child)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
            os.close(descriptor)

    def _configured(self) -> RunnerConfig:
        """What the configuration says now, or what it said at first if it cannot be read."""
        try:
            now = read_settings(self._daemon)
        except ConfigError as error:
            log(f"keeping the compilers as they were: {error}", "spawner")
            return self._config
        now_told = runner_config(now)
        return msgspec.structs.replace(self._config, compilers=now_told.compilers, shared_trees=now_told.shared_trees)

    def _bury(self) -> None:
        """Reaps also what a dead runner left behind, since we are a subreaper (PR_SET_CHILD_SUBREAPER of prctl(2))."""
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                self._runners.discard(ended)

    def _end(self) -> None:
        """Waits for the runners to exit after the front has gone, and kills those that do not."""
        last = time.monotonic() + _END_S
        while self._runners and time.monotonic() < last:
            time.sleep(_LOOK_S)
        end_children()

    def _kill(self) -> NoReturn:
        """Ends the runners, and their jobs with them, when told to stop."""
        end_children()
        os._exit(0)


def end_children() -> None:
    """Kills all children and what they leave behind, which become our children (PR_SET_CHILD_SUBREAPER of prctl(2)):
    even a compiler that broke out. Returns when none is left.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # they are reaped only here, so no pid is reused meanwhile
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in process_tree.children(os.getpid()):
                os.kill(child, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(_LOOK_S)


def _be_runner(end: int, config: int) -> NoReturn:
    """Runs the runner, from beginning to end, in a child."""
    status = 1
    try:
        for number in _ENDS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        os.setsid()
        status = runner.main(["--fd", str(end), "--config-fd", str(config)])
    finally:
        os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main())

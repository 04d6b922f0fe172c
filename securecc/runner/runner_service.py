"""The runner as a separate service: it waits for fronts on a unix socket, and gives each a spawner.

So no process ever needs to be root, and a service manager can keep network and keys from everything that runs
compilers.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import NoReturn

from securecc.daemon.service_manager import ServiceManager
from securecc.daemon.settings import DaemonSettings, User
from securecc.model import limits
from securecc.model.documentation import page
from securecc.model.errors import ConfigError, SandboxError
from securecc.runner.runner_spawner import RunnerSpawner, end_children, runner_config
from securecc.sandbox import cgroup, namespaces
from securecc.system.peer_credentials import peer_credentials

log = logging.getLogger("securecc")

READY = "securecc: the runner waits for its front"
"""The log line that says that the service is ready."""

_STOP_S, _LOOK_S = 5.0, 0.005


def connect(path: Path) -> socket.socket:
    """The front's end of a connection to a spawner.

    Raises:
        SandboxError: no runner is listening at this path.
    """
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.MIB)
    try:
        end.connect(os.fspath(path))
    except OSError as error:
        end.close()
        advice = "start it: systemctl start securecc-runner.socket, or secureccd --only runner"
        raise SandboxError(f"no runner is listening at {path}: {error.strerror}", advice) from error
    return end


class RunnerService:
    """Waits for fronts until told to stop."""

    def __init__(self, settings: DaemonSettings, config: Path, supervisor: ServiceManager) -> None:
        """`config` is the file that the settings come from. Root becomes the runner's user.

        Raises:
            SandboxError: the system refuses.
            ConfigError: the runner would run as root, or cannot listen.
        """
        self._settings = settings
        self._config = config
        self._supervisor = supervisor
        self._spawners: set[int] = set()
        self._listening = self._listen()
        become = settings.users.runner if settings.users is not None and os.getuid() == 0 else None
        self._groups = prepare_groups(settings, become)
        if self._groups:
            cgroup.join(self._groups, os.getpid())
        if become is not None:
            namespaces.switch_user(become.uid, become.gid)
        if os.getuid() == 0:
            raise ConfigError("refusing to run as root: no unprivileged users are configured", "set `users:`")
        namespaces.harden()
        namespaces.become_subreaper()

    def run(self) -> int:
        """Serves; exit status 0 when all spawners have ended."""
        hearing, saying = socket.socketpair()
        for end in (hearing, saying):
            end.setblocking(False)
        signal.set_wakeup_fd(saying.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        with selectors.DefaultSelector() as both, hearing, saying:
            both.register(self._listening, selectors.EVENT_READ)
            both.register(hearing, selectors.EVENT_READ)
            self._supervisor.ready("waits for a front")
            log.info(READY)
            while not self._turn(both, hearing):
                self._supervisor.alive()
            signal.set_wakeup_fd(-1)
        self._supervisor.stopping()
        self._stop()
        return 0

    def _turn(self, both: selectors.BaseSelector, hearing: socket.socket) -> bool:
        """Handles pending events, if there are any. Returns whether we were told to stop."""
        for key, _ in both.select(self._supervisor.notify_every_s or None):
            if key.fileobj is self._listening:
                self._accept()
                continue
            told = set(hearing.recv(limits.KIB))
            self._bury()
            if told & {signal.SIGTERM, signal.SIGINT}:
                return True
        return False

    def _listen(self) -> socket.socket:
        """The service manager's socket, or one that we make and only the front's user can reach.

        Raises:
            ConfigError: it cannot be made, or the service manager passes other sockets.
        """
        if self._supervisor.sockets:
            [first, *more] = self._supervisor.sockets
            if more or first.family != socket.AF_UNIX or first.type != socket.SOCK_SEQPACKET:
                raise ConfigError("the runner takes one unix socket", "use the units that come with securecc")
            return first
        path = self._settings.runner_socket
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            before = os.umask(0o177)
            try:
                listening.bind(os.fspath(path))
            finally:
                os.umask(before)
            if self._settings.users is not None and os.getuid() == 0:
                os.chown(path, self._settings.users.front.uid, self._settings.users.front.gid)
            listening.listen(limits.FRONTS)
        except OSError as error:
            listening.close()
            raise ConfigError(f"cannot listen at {path}: {error.strerror}", "make its directory") from error
        return listening

    def _accept(self) -> None:
        try:
            end, _ = self._listening.accept()
        except OSError:
            return
        with end:
            why = self._objection(end)
            if why:
                log.warning("rejected a front: %s", why)
                return
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.MIB)
            try:
                child = os.fork()
            except OSError as error:  # the other fronts' runners are not affected
                log.error("cannot start a spawner for a front: %s", error.strerror)  # noqa: TRY400 - the error says all
                return
            if not child:
                self._be_spawner(end)
            self._spawners.add(child)

    def _objection(self, end: socket.socket) -> str:
        """Why this peer is not our front; empty if it is."""
        uid = peer_credentials(end).uid
        if uid == os.getuid():
            return f"it has the runner's own uid {uid}: a compiler that broke out could pose as the front"
        if self._settings.users is not None and uid != self._settings.users.front.uid:
            return f"it is a process of uid {uid}, but the front's is {self._settings.users.front.uid}"
        if len(self._spawners) >= limits.FRONTS:
            return f"{limits.FRONTS} fronts are connected already"
        return ""

    def _be_spawner(self, end: socket.socket) -> NoReturn:
        """Runs one front's spawner, from beginning to end, in a child."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self._listening.close()
            RunnerSpawner(runner_config(self._settings, groups=self._groups), self._config).serve(end)
            status = 0
        finally:
            os._exit(status)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                self._spawners.discard(ended)

    def _stop(self) -> None:
        """A spawner ends its runners before it exits; whatever is left after that is killed."""
        for spawner in self._spawners:
            os.kill(spawner, signal.SIGTERM)
        last = time.monotonic() + _STOP_S
        while self._spawners and time.monotonic() < last:
            time.sleep(_LOOK_S)
            self._bury()
        end_children()


def prepare_groups(settings: DaemonSettings, become: User | None) -> str:
    """The directory of jobs' control groups, whose owner becomes `become` if we are root; empty, with a line in the
    log, if there is none. A process that starts jobs there must `cgroup.join` it.

    Raises:
        SandboxError: the configured directory cannot be used.
    """
    place = cgroup.placement()
    folder = os.fspath(settings.groups) if settings.groups is not None else place.folder * place.delegated
    if not folder:
        log.info("no control groups: none is delegated to this service (%s)", page("sandbox.md"))
        return ""
    return cgroup.prepare(folder, (become.uid, become.gid) if become is not None else None)

"""The agent: one process for one user in one world, between all launchers and the farm.

A launcher starts it, as `python3 -I -m securecc.client --socket PATH --ready-fd N`. It exits after it has been idle for
a while.
"""

import argparse
import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from securecc.client.compile.prepare import Preparer
from securecc.client.compile.request_handler import RequestHandler
from securecc.client.compile.resolve_inputs import InputResolver
from securecc.client.execution import pipeline
from securecc.client.farm.farm_registry import FarmRegistry
from securecc.client.host import mount_table
from securecc.client.host.local_slots import LocalSlots
from securecc.client.host.message_catalogues import MessageCatalogues
from securecc.client.host.shared_trees import SharedTrees
from securecc.client.host.system_directories import SystemDirectories
from securecc.client.host.toolchain_cache import ToolchainCache
from securecc.client.inputs.caches.dependency_cache import DependencyCache
from securecc.client.inputs.caches.directory_cache import DirectoryCache
from securecc.client.inputs.caches.file_cache import FileCache
from securecc.client.inputs.caches.mount_changes import MountChanges
from securecc.client.inputs.manifest_builder import ManifestBuilder
from securecc.client.ipc import agent_socket
from securecc.client.ipc.frames import Request
from securecc.client.ipc.launcher import Launcher, LauncherGoneError
from securecc.client.ipc.launcher_connection import LauncherConnection
from securecc.client.state.journal import Journal, default_path
from securecc.client.state.redaction_patterns import read_patterns
from securecc.client.state.settings_cache import SettingsCache
from securecc.client.witness.witness import Witness
from securecc.compiler.toolchain import toolchain_list
from securecc.model import heap, limits
from securecc.model.errors import AgentError
from securecc.model.printable import PrintableFormatter, plain

BACKLOG = 1024
"""How many launchers may connect at the same moment: enough for make -j1000."""

JOURNAL_TICKS = 5
"""The journal is written every so many seconds during a build, and within one second after it."""

GIVE_BACK_S = 30.0
"""Seconds without a compile after which free memory is returned to the system; the next compile pays for it."""

LOG = 64 * limits.KIB
"""The size, in bytes, at which the agent's log is rotated."""


class Handler(Protocol):
    """Serves launchers (see `securecc.client.compile.request_handler`)."""

    async def serve(self, launcher: Launcher, request: Request) -> None:
        """Handles one compile from beginning to end."""


class Farms(Protocol):
    """The channels to servers (see `securecc.client.farm.farm_registry`)."""

    def check_tickets(self) -> None:
        """Call about once a second."""

    def close(self, reason: str) -> None:
        """Ends all channels."""


class Record(Protocol):
    """Records the outcome of compiles (see `securecc.client.state.journal`)."""

    def local(self, reason: str, detail: str, arguments: Iterable[bytes] = ()) -> None:
        """Records a compile that ran locally."""

    def flush(self) -> None:
        """Call about once a second."""

    def close(self) -> None:
        """Flushes a last time."""


class Agent:
    """One agent: its socket, its once-a-second duties, and its exit."""

    def __init__(self, path: Path, handler: Handler, farms: Farms, journal: Record, idle_s: float) -> None:
        """It exits after `idle_s` seconds without a launcher."""
        self._path = path
        self.idle_s = idle_s
        self._handler = handler
        self._farms = farms
        self._journal = journal
        self._launchers: set[LauncherConnection] = set()
        self._idle_since = asyncio.get_running_loop().time()
        self._end = asyncio.Event()
        self._busy = False
        self._untrimmed = False

    async def run(self, listening: socket.socket, ready: Callable[[], None]) -> None:
        """Serves until idle, told to stop, or replaced at its path."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        server = await loop.create_unix_server(self._connected, sock=listening)
        identity = _identity(self._path)
        ready()
        ticking = asyncio.create_task(self._tick(identity))
        await self._end.wait()
        ticking.cancel()
        server.close()
        if _identity(self._path) == identity:
            with contextlib.suppress(OSError):
                self._path.unlink()
        for launcher in tuple(self._launchers):
            launcher.close()
        self._farms.close("the agent ends")
        self._journal.close()

    def stop(self) -> None:
        """Ends `run`, and with it the agent."""
        self._end.set()

    def _connected(self) -> LauncherConnection:
        launcher = LauncherConnection(self._serve)
        launcher.done = self._launchers.discard
        self._launchers.add(launcher)
        self._busy = True
        return launcher

    async def _serve(self, launcher: LauncherConnection, request: Request) -> None:
        try:
            await self._handler.serve(launcher, request)
        except LauncherGoneError:
            raise
        except Exception as error:
            self._journal.local("internal", f"{type(error).__name__}: {error}", request.arguments)
            raise

    async def _tick(self, identity: tuple[int, int] | None) -> None:
        loop = asyncio.get_running_loop()
        ticks = 0
        while True:
            await asyncio.sleep(limits.AGENT_KEEPALIVE_S)
            for launcher in self._launchers:
                launcher.keep_alive()
            self._farms.check_tickets()
            if self._busy:
                self._idle_since = loop.time()
                self._busy = bool(self._launchers)
                self._untrimmed = True
            elif self._untrimmed and loop.time() - self._idle_since > GIVE_BACK_S:
                self._untrimmed = False
                heap.trim()
            ticks += 1
            if not self._launchers or ticks % JOURNAL_TICKS == 0:
                self._journal.flush()
            idle = loop.time() - self._idle_since > self.idle_s
            if idle or _identity(self._path) != identity:
                self.stop()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def compose(path: Path, idle_s: float = limits.AGENT_IDLE_S) -> Agent:
    """Builds an agent from its parts. Needs a running loop."""
    redaction, trouble = read_patterns()
    journal = Journal(redaction=redaction)
    if trouble:
        journal.trouble("settings", trouble)
    files, directories = FileCache(), DirectoryCache()
    dependencies = DependencyCache(files, directories)
    inputs = InputResolver(ManifestBuilder(files, directories), dependencies)
    farms, shared_trees = FarmRegistry(), SharedTrees()
    toolchains = ToolchainCache(default_path().with_name(toolchain_list.NAME))
    preparer = Preparer(toolchains.closure, farms.of, MessageCatalogues(), shared_trees.usable)
    slots = LocalSlots(os.cpu_count() or 1)
    witness = Witness(directories, SystemDirectories())
    executor = pipeline.compose(farms.of, inputs, shared_trees.distrust, slots, witness)
    mounts = MountChanges(mount_table.changes(), files, directories, dependencies, witness, forget=toolchains.forget_at)
    handler = RequestHandler(
        preparer,
        inputs,
        executor,
        journal=journal,
        slots=slots,
        settings=SettingsCache().of,
        known_questions=witness.known,
        before_compile=mounts.apply,
    )
    return Agent(path, handler, farms, journal, idle_s)


def listen(path: Path) -> socket.socket:
    """The agent's socket.

    Raises:
        AgentError: the folder is not private, or the socket cannot be made.
    """
    agent_socket.check_folder(path.parent)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listening.bind(os.fspath(path))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise AgentError(f"cannot listen on {path}: {error.strerror}") from error
    return listening


async def _main(path: Path, ready: int, idle_s: float) -> None:
    def tell() -> None:
        if ready >= 0:
            with contextlib.suppress(OSError):
                os.write(ready, b"1")
            os.close(ready)

    listening = listen(path)
    agent = compose(path, idle_s)
    heap.freeze_gc()
    await agent.run(listening, tell)


def log_beside(path: Path) -> None:
    """Logs internal errors to a small file beside the socket, since an agent's standard error is not seen."""
    handler = logging.handlers.RotatingFileHandler(path.with_suffix(".log"), maxBytes=LOG, backupCount=1, delay=True)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(message)s", read_patterns()[0].prose))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def main() -> int:
    """Entry point of the process; exit status 1 if the agent cannot start."""
    parser = argparse.ArgumentParser(prog="securecc.client")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--idle", type=float, default=limits.AGENT_IDLE_S, metavar="SECONDS")
    arguments = parser.parse_args()
    # Each launcher names its own credential cache; the first launcher's must not become the others' default.
    os.environ.pop("KRB5CCNAME", None)
    heap.tune_malloc()
    log_beside(arguments.socket)
    try:
        asyncio.run(_main(arguments.socket, arguments.ready_fd, arguments.idle))
    except AgentError as error:
        print(f"securecc: {plain(str(error))}", file=sys.stderr)  # noqa: T201 - for a user who starts it by hand
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

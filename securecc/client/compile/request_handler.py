"""What becomes of each launcher's request: the farm's result, the local compiler, or a clear error.

The build never fails for the farm's sake, and never succeeds against the local compiler's word: whatever a server says
other than success is judged by a local run.
"""

import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from securecc.client.compile.invocation import Invocation
from securecc.client.compile.remote_compile import Compiles, check_places, end, judge
from securecc.client.compile.submission import Remote
from securecc.client.host.local_slots import LocalSlots
from securecc.client.inputs import special_files
from securecc.client.ipc.frames import Die, Request
from securecc.client.ipc.launcher_connection import LauncherConnection, LauncherGoneError
from securecc.client.ipc.process_ancestry import ProcessAncestry
from securecc.client.state.journal import Journal
from securecc.client.state.settings import Host, Settings
from securecc.model.errors import (
    AuthenticationError,
    ChannelError,
    ConfigError,
    CredentialError,
    DeadlineError,
    Denied,
    KdcError,
    Refused,
    SecureccError,
    StaysLocal,
)
from securecc.model.printable import plain

EXIT_CONNECT, EXIT_IO, EXIT_DENIED, EXIT_NO_HOSTS, EXIT_TIMEOUT, EXIT_GSS = 103, 107, 113, 116, 118, 119
"""As distcc's exit codes (distcc(1), EXIT CODES)."""

_NO_HOSTS = "set SECURECC_HOSTS, or write the servers into ~/.config/securecc/hosts"
_Farm = tuple[tuple[Host, ...], bytes]


class RequestHandler:
    """Serves launchers, one call of `serve` each."""

    def __init__(
        self,
        compiles: Compiles,
        journal: Journal,
        slots: LocalSlots,
        settings: Callable[[Mapping[bytes, bytes]], Settings],
    ) -> None:
        self._compiles = compiles
        self._journal = journal
        self._slots = slots
        self._settings = settings
        self._said: dict[_Farm, set[str]] = {}
        self._troubles: set[str] = set()

    async def serve(self, caller: LauncherConnection, request: Request) -> None:
        """One compile from beginning to end."""
        try:
            settings = self._settings(request.environment)
        except ConfigError as error:
            self._local(caller, request, "settings", error.message)
            return
        self._note_troubles(settings)
        try:
            orders = await self._compiles.understand(request, settings)
            remotes = [remote async for remote in self._remotes(caller, orders)]
        except StaysLocal as error:
            if error.reason == special_files.CONSUMED:
                self._journal.local(error.reason, error.message, request.arguments)
                caller.write(2, _line(error.message))
                caller.exit(EXIT_IO)
                return
            if error.reason == "no-hosts" and not settings.fallback:
                self._forbidden(caller, request, error.reason, f"{error.message}; {_NO_HOSTS}", EXIT_NO_HOSTS)
                return
            self._verbose(caller, settings, f"compiling locally: {error.message}")
            self._local(caller, request, error.reason, error.message)
        except LauncherGoneError:
            raise
        except SecureccError as error:
            await self._without_farm(caller, request, settings, error)
        else:
            self._said.pop(_farm(request, settings), None)
            await self._deliver(caller, orders, remotes)

    async def _remotes(self, caller: LauncherConnection, orders: Sequence[Invocation]) -> AsyncIterator[Remote]:
        """What servers make of each, one after the other as the compiler would; the first failure is the last."""
        for order in orders:
            check_places(order)
        for order in orders:
            inputs = await self._compiles.inputs(caller, order)
            remote = await self._watched(caller, order.request, self._compiles.remote(caller, order, inputs))
            yield remote
            if remote.result.status or remote.result.limit:
                return

    async def _watched(self, caller: LauncherConnection, request: Request, work: Awaitable[Remote]) -> Remote:
        """Ends `work`, and the launcher, when those who wait for it have died."""
        lineage = ProcessAncestry(caller.process, request.parent, lambda: _orphan(caller))
        lineage.start()
        try:
            return await work
        finally:
            lineage.stop()

    def _local(self, caller: LauncherConnection, request: Request, reason: str, detail: str) -> None:
        caller.execute(request)  # first, for somebody waits
        self._journal.local(reason, detail, request.arguments)

    async def _without_farm(
        self, caller: LauncherConnection, request: Request, settings: Settings, error: SecureccError
    ) -> None:
        reason = reason_of(error)
        if not settings.fallback:
            self._forbidden(caller, request, reason, str(error), exit_status_of(error))
            return
        said = self._said.setdefault(_farm(request, settings), set())
        if reason not in said:
            said.add(reason)
            caller.write(2, _line(f"{error}; compiling locally"))
        self._journal.local(reason, str(error), request.arguments)
        await self._slots.enter(settings.local_slots)
        try:
            caller.execute(request)
        except LauncherGoneError:
            self._slots.leave()
            raise
        self._slots.leave_with(caller.process)

    def _forbidden(self, caller: LauncherConnection, request: Request, reason: str, why: str, status: int) -> None:
        self._journal.local(reason, why, request.arguments)
        caller.write(2, _line(f"{why}; SECURECC_FALLBACK=0 forbids compiling locally"))
        caller.exit(status)

    def _note_troubles(self, settings: Settings) -> None:
        for trouble in settings.troubles:
            if trouble not in self._troubles:
                self._troubles.add(trouble)
                self._journal.trouble("settings", trouble)

    def _verbose(self, caller: LauncherConnection, settings: Settings, line: str) -> None:
        if settings.verbose:
            caller.write(2, _line(line))

    async def _deliver(
        self, caller: LauncherConnection, orders: Sequence[Invocation], remotes: Sequence[Remote]
    ) -> None:
        order, last = orders[0], remotes[-1]
        request = order.request
        if last.result.status or last.result.limit:
            await self._judge(caller, order, last)
            return
        try:
            made = [file for pair in zip(orders, remotes, strict=True) for file in self._compiles.made(*pair)]
        except StaysLocal as error:
            if not order.settings.fallback:
                self._forbidden(caller, request, error.reason, error.message, EXIT_IO)
                return
            self._local(caller, request, error.reason, error.message)
            return
        said = [_line(_where(remote)) for remote in remotes if order.settings.verbose]
        errors = b"".join([*dict.fromkeys(said), said_together(request, [remote.stderr for remote in remotes])])
        failed = await caller.finish(made, b"".join(remote.stdout for remote in remotes), errors)
        if failed is not None:
            self._local(caller, request, "output", f"{os.fsdecode(failed.path)}: {os.strerror(failed.error)}")
            return
        for remote in remotes:
            self._count(remote, request)

    def _count(self, remote: Remote, request: Request) -> None:
        self._journal.remote(
            remote.server,
            request.arguments,
            sent=remote.sent,
            received=_received(remote),
            wall_s=max(remote.result.server_s, 0.0),
        )

    async def _judge(self, caller: LauncherConnection, order: Invocation, remote: Remote) -> None:
        """A remote failure: the local compiler's outcome is what the user sees, unless local compiles are forbidden."""
        result = remote.result
        if not order.settings.fallback:
            self._count(remote, order.request)
            caller.write(2, remote.stderr)
            caller.write(1, remote.stdout)
            if result.limit:
                reached = f"the job reached its {result.limit} limit on {remote.server}"
                caller.write(2, f"securecc: {reached}; ask its admin for a higher one\n".encode())
            caller.exit(128 - result.status if result.status < 0 else result.status or 1)
            return
        await self._slots.enter(order.settings.local_slots)
        try:
            status = await judge(caller, order)
        finally:
            self._slots.leave()
        if result.limit:
            self._journal.local(
                "limit", f"the {result.limit} limit was reached on {remote.server}", order.request.arguments
            )
        elif status == 0:
            self._journal.disagreement(remote.server, order.request.arguments, result.status, remote.stderr)
        else:
            self._journal.local("fails", "fails locally as well", order.request.arguments)
        end(caller, status)


def said_together(request: Request, parts: Sequence[bytes]) -> bytes:
    """What the compiles of one command's sources say, as one command says it: a driver has its own say first, each line
    of it begun by the name that it was called by. It speaks of the command once; clang of an option's meaning (a line
    with the name of a warning) for each source, and at the end of what no source has used.
    """
    if len(parts) == 1:
        return parts[0]
    name = re.escape(request.arguments[0].rpartition(b"/")[2])
    own = re.compile(rb"(?:(?:\x1b\[[0-9;]*[mK])*" + name + rb":.*\n)*")
    drivers = [match[0] for part in parts if (match := own.match(part))]
    lines = [line for said in drivers for line in said.splitlines(keepends=True)]
    each = [line for line in lines if b"[-W" in line and b"[-Wunused-command-line-argument" not in line]
    once = dict.fromkeys(line for line in lines if line not in each)
    return b"".join([*each, *once, *(part[len(said) :] for part, said in zip(parts, drivers, strict=True))])


def reason_of(error: SecureccError) -> str:
    """The word by which such errors are counted."""
    if isinstance(error, Refused):
        return f"refused-{error.code}"
    for kind, reason in (
        (KdcError, "kdc"),
        (CredentialError, "no-ticket"),
        (Denied, "denied"),
        (AuthenticationError, "authentication"),
        (ChannelError, "unreachable"),
    ):
        if isinstance(error, kind):
            return reason
    return "error"


def exit_status_of(error: SecureccError) -> int:
    """The exit status for it, as distcc's."""
    if isinstance(error, Denied) or (isinstance(error, Refused) and error.code == "denied"):
        return EXIT_DENIED
    if isinstance(error, AuthenticationError):
        return EXIT_GSS
    if isinstance(error, DeadlineError):
        return EXIT_TIMEOUT
    return EXIT_CONNECT if isinstance(error, ChannelError) else EXIT_IO


def _farm(request: Request, settings: Settings) -> _Farm:
    """What a reason is said once for: other servers, or another's ticket, have reasons of their own."""
    return settings.hosts, request.environment.get(b"KRB5CCNAME", b"")


def _line(text: str) -> bytes:
    return f"securecc: {plain(text)}\n".encode()


def _where(remote: Remote) -> str:
    if not remote.queued:
        return f"compiled on {remote.server}"
    jobs = "job" if remote.queued == 1 else "jobs"
    return f"compiled on {remote.server} after {remote.queued} {jobs} in its queue"


def _received(remote: Remote) -> int:
    return len(remote.stdout) + len(remote.stderr) + sum(len(content) for _, content in remote.files)


def _orphan(caller: LauncherConnection) -> None:
    try:
        caller.order(Die(signal.SIGTERM))
    except LauncherGoneError:
        return
    caller.abandon()

"""Serves launchers: a request in; outputs, the local compiler or an error out; an entry in the journal.

The build never fails because of the farm, and never succeeds against the local compiler's word.
"""

import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Protocol

from cachetools import LRUCache

from securecc.client.compile import diagnostics
from securecc.client.compile.failure import EXIT_IO, EXIT_NO_HOSTS, exit_status_of, reason_of
from securecc.client.compile.invocation import Invocation
from securecc.client.execution.accepted import NotAcceptedError
from securecc.client.execution.executor import Compile, Executor, Outcome
from securecc.client.host.local_slots import LocalSlots
from securecc.client.inputs import special_files
from securecc.client.inputs.compile_inputs import Inputs
from securecc.client.ipc.frames import Die, Request
from securecc.client.ipc.launcher import Launcher, LauncherGoneError
from securecc.client.state.host_list import Host
from securecc.client.state.journal import Journal
from securecc.client.state.settings import Settings
from securecc.model.errors import ConfigError, SecureccError, StaysLocal
from securecc.model.manifest import Digest
from securecc.model.printable import plain, plain_path

_NO_HOSTS = "set SECURECC_HOSTS, or write the servers into ~/.config/securecc/hosts"
_SAID = 64  # farms, and errors in settings, that the user has been told about
_EXIT_MOST = 255
_Farm = tuple[tuple[Host, ...], bytes]


class Preparing(Protocol):
    """See `securecc.client.compile.prepare.Preparer`."""

    async def prepare(self, request: Request, settings: Settings) -> tuple[Invocation, ...]:
        """What a command asks for."""


class Resolving(Protocol):
    """See `securecc.client.compile.resolve_inputs.InputResolver`."""

    async def resolve(self, launcher: Launcher, invocation: Invocation, *, vouched: bool = False) -> Inputs:
        """What a compile reads."""


class RequestHandler:
    """Serves launchers, one call of `serve` each."""

    def __init__(
        self,
        preparer: Preparing,
        inputs: Resolving,
        executor: Executor,
        *,
        journal: Journal,
        slots: LocalSlots,
        settings: Callable[[Mapping[bytes, bytes]], Settings],
        known_questions: Callable[[Invocation], Digest] = lambda _: b"",
        before_compile: Callable[[], None] = lambda: None,
    ) -> None:
        """`settings` returns those of a launcher's environment; `known_questions` is `Witness.known`; `before_compile`
        forgets what no longer holds on this machine.
        """
        self._preparer = preparer
        self._inputs = inputs
        self._executor = executor
        self._journal = journal
        self._slots = slots
        self._settings = settings
        self._known_questions = known_questions
        self._before_compile = before_compile
        self._said: LRUCache[_Farm, set[str]] = LRUCache(_SAID)
        self._troubles: LRUCache[str, bool] = LRUCache(_SAID)

    async def serve(self, launcher: Launcher, request: Request) -> None:
        """Handles one compile from beginning to end.

        Raises:
            LauncherGoneError: the launcher has ended meanwhile.
        """
        self._before_compile()
        try:
            settings = self._settings(request.environment)
        except ConfigError as error:
            self._local(launcher, request, "settings", error.message)
            return
        self._note_troubles(settings)
        try:
            invocations = await self._preparer.prepare(request, settings)
            outcomes = [outcome async for outcome in self._outcomes(launcher, invocations)]
        except StaysLocal as error:
            self._stay(launcher, request, settings, error)
        except LauncherGoneError:
            raise
        except SecureccError as error:
            await self._without_farm(launcher, request, settings, error)
        else:
            self._said.pop(_farm(request, settings), None)
            await self._deliver(launcher, request, settings, outcomes)

    async def _outcomes(self, launcher: Launcher, invocations: Sequence[Invocation]) -> AsyncIterator[Outcome]:
        """The outcome of each, in order like the compiler; stops at the first failure."""
        outputs = {path for each in invocations for path in each.physical_outputs} if len(invocations) > 1 else set()
        for invocation in invocations:
            questions = self._known_questions(invocation)
            inputs = await self._inputs.resolve(launcher, invocation, vouched=bool(questions))
            _check_reads_no(outputs, inputs)
            outcome = await self._executor.run(Compile(launcher, invocation, inputs, questions=questions))
            yield outcome
            if outcome.failed:
                return

    def _stay(self, launcher: Launcher, request: Request, settings: Settings, error: StaysLocal) -> None:
        if isinstance(error, NotAcceptedError):
            self._said.pop(_farm(request, settings), None)
        if error.reason == special_files.CONSUMED:
            self._journal.local(error.reason, error.message, request.arguments)
            launcher.write(2, _line(error.message))
            launcher.exit(EXIT_IO)
        elif isinstance(error, NotAcceptedError) and not settings.fallback:
            self._forbidden(launcher, request, error.reason, error.message, EXIT_IO)
        elif error.reason == "no-hosts" and not settings.fallback:
            self._forbidden(launcher, request, error.reason, f"{error.message}; {_NO_HOSTS}", EXIT_NO_HOSTS)
        else:
            if settings.verbose:
                launcher.write(2, _line(f"compiling locally: {error.message}"))
            self._local(launcher, request, error.reason, error.message)

    def _local(self, launcher: Launcher, request: Request, reason: str, detail: str) -> None:
        launcher.execute(request)  # first, since the user is waiting
        self._journal.local(reason, detail, request.arguments)

    async def _without_farm(
        self, launcher: Launcher, request: Request, settings: Settings, error: SecureccError
    ) -> None:
        reason = reason_of(error)
        if not settings.fallback:
            self._forbidden(launcher, request, reason, str(error), exit_status_of(error))
            return
        said = self._said.setdefault(_farm(request, settings), set())
        if reason not in said:
            said.add(reason)
            launcher.write(2, _line(f"{error}; compiling locally"))
        self._journal.local(reason, str(error), request.arguments)
        await self._slots.enter(settings.local_slots)
        try:
            launcher.execute(request)
        except LauncherGoneError:
            self._slots.leave()
            raise
        self._slots.leave_with(launcher.process)

    def _forbidden(self, launcher: Launcher, request: Request, reason: str, why: str, status: int) -> None:
        self._journal.local(reason, why, request.arguments)
        launcher.write(2, _line(f"{why}; SECURECC_FALLBACK=0 forbids compiling locally"))
        launcher.exit(status)

    def _note_troubles(self, settings: Settings) -> None:
        for trouble in settings.troubles:
            if not self._troubles.get(trouble):
                self._troubles[trouble] = True
                self._journal.trouble("settings", trouble)

    async def _deliver(
        self, launcher: Launcher, request: Request, settings: Settings, outcomes: Sequence[Outcome]
    ) -> None:
        if outcomes[-1].failed:
            self._end(launcher, request, outcomes[-1])
            return
        made = [file for outcome in outcomes for file in outcome.files]
        shown = [_line(_where(outcome)) for outcome in outcomes if settings.verbose]
        said = diagnostics.joined(request.arguments[0], [outcome.received.stderr.read() for outcome in outcomes])
        stdout = [outcome.received.stdout for outcome in outcomes]
        failed = await launcher.finish(made, stdout, b"".join([*dict.fromkeys(shown), said]))
        if failed is not None:
            self._local(launcher, request, "output", f"{os.fsdecode(failed.path)}: {os.strerror(failed.error)}")
            return
        for outcome in outcomes:
            self._note_remote(request, outcome)

    def _end(self, launcher: Launcher, request: Request, outcome: Outcome) -> None:
        """Ends the launcher of a compile that failed on a server: like the local compiler, if that was run."""
        result, status = outcome.received.result, outcome.local_status
        if status is None:
            self._show_failure(launcher, request, outcome)
            return
        if result.limit:
            detail = f"the job reached its {result.limit} limit on {outcome.server}"
            self._journal.local("limit", detail, request.arguments)
        elif status == 0:
            errors = outcome.received.stderr.read()
            self._journal.disagreement(outcome.server, request.arguments, result.status, errors)
        else:
            self._journal.local("fails", "fails locally as well", request.arguments)
        if os.WIFSIGNALED(status):
            launcher.command(Die(os.WTERMSIG(status)))
        else:
            launcher.exit(os.waitstatus_to_exitcode(status))

    def _show_failure(self, launcher: Launcher, request: Request, outcome: Outcome) -> None:
        """Shows the user what the server says, if nothing may be compiled locally."""
        received = outcome.received
        status, limit = received.result.status, received.result.limit
        self._note_remote(request, outcome)
        launcher.write(2, received.stderr.read())
        launcher.write(1, received.stdout.read())
        if limit:
            reached = f"the job reached its {limit} limit on {outcome.server}"
            launcher.write(2, _line(f"{reached}; ask its admin for a higher one"))
        shown = 128 - status if status < 0 else status
        launcher.exit(
            shown if 0 < shown <= _EXIT_MOST else 1
        )  # of a larger one only the lowest byte counts: 0, perhaps

    def _note_remote(self, request: Request, outcome: Outcome) -> None:
        self._journal.remote(
            outcome.server,
            request.arguments,
            sent=outcome.sent,
            received=outcome.received.size,
            wall_s=outcome.received.result.server_s,
        )


def _check_reads_no(outputs: Collection[bytes], inputs: Inputs) -> None:
    """Checks that a compile asks for no file that a compile of the same command makes: a server would show it that file
    as it was before.

    Raises:
        StaysLocal: it does.
    """
    for path in outputs:
        head, _, name = path.rpartition(b"/")
        asked = any(watch.listing.path == (head or b"/") and name in watch.names for watch in inputs.watches)
        if asked or any(file.path == path for file in inputs.files):
            raise StaysLocal("several-sources", f"{plain_path(path)} is made and read by compiles of one command")


def _farm(request: Request, settings: Settings) -> _Farm:
    """The key under which a reason is printed once: separate for other servers and other users' tickets."""
    return settings.hosts, request.environment.get(b"KRB5CCNAME", b"")


def _where(outcome: Outcome) -> str:
    if not outcome.queued:
        return f"compiled on {outcome.server}"
    jobs = "job" if outcome.queued == 1 else "jobs"
    return f"compiled on {outcome.server} after {outcome.queued} {jobs} in its queue"


def _line(text: str) -> bytes:
    return f"securecc: {plain(text)}\n".encode()

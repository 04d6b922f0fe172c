"""The agent's record of the outcome of each compile, in a file, so that `securecctl why` needs no agent."""

import contextlib
import fcntl
import os
import pwd
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from securecc.client.state import journal_record
from securecc.client.state.journal_record import JournalRecord
from securecc.model import limits
from securecc.model.errors import AgentError
from securecc.model.redaction import Redaction, silenced
from securecc.system.atomic_file import replace_file


def default_path(environ: Mapping[str, str] | None = None) -> Path:
    """The file of a user's record: below XDG_STATE_HOME, else ``~/.local/state`` (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ
    state = environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            home = _home()
        state = f"{home}/.local/state"
    return Path(state) / "securecc" / "recent.json"


class Journal:
    """Adds up events and writes them to the file: an event at once if none was written for `limits.JOURNAL_WRITE_S`,
    others with the next `flush`. `redaction` removes secrets first.

    No method raises: a record that cannot be written must not disturb a compile.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        redaction: Redaction | None = None,
        clock: Callable[[], float] = time.time,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = default_path() if path is None else path
        self._redaction = redaction or Redaction()
        self._clock = clock
        self._tick = tick
        self._pending = JournalRecord()
        self._written = -limits.JOURNAL_WRITE_S

    def remote(
        self, server: str, arguments: Iterable[bytes] = (), *, sent: int = 0, received: int = 0, wall_s: float = 0.0
    ) -> None:
        """Records a compile by `server`, with the bytes `sent` and `received`."""
        del arguments  # counted, not kept
        self._add(journal_record.remote(self._clock(), server, sent, received, wall_s))

    def local(self, reason: str, detail: str, arguments: Iterable[bytes] = ()) -> None:
        """Records a compile that ran here: `reason` is a stable word, `detail` explains it for this compile."""
        given = list(arguments)
        shown = self._redaction(given)
        said = silenced(detail, given, shown, self._redaction)
        self._add(journal_record.local(self._clock(), reason, said, shown))

    def trouble(self, reason: str, detail: str) -> None:
        """Records a problem that `why` should report, although it kept no compile from a server."""
        self._add(journal_record.trouble(self._clock(), reason, detail))

    def disagreement(self, server: str, arguments: Iterable[bytes], status: int, errors: bytes) -> None:
        """Records a compile that failed on `server` with this exit status and succeeded here. It counts as local."""
        given = list(arguments)
        shown = self._redaction(given)
        said = silenced(errors.decode("utf-8", "surrogateescape"), given, shown, self._redaction)
        self._add(
            journal_record.disagreement(self._clock(), server, shown, status, said.encode("utf-8", "surrogateescape"))
        )

    def flush(self) -> None:
        """Writes what is still unwritten; call about once a second."""
        if self._pending.since:
            self._write()

    def close(self) -> None:
        """Flushes a last time."""
        self.flush()

    def _add(self, new: JournalRecord) -> None:
        self._pending = journal_record.add(self._pending, new)
        if self._tick() - self._written >= limits.JOURNAL_WRITE_S:
            self._write()

    def _write(self) -> None:
        self._written = self._tick()
        with contextlib.suppress(OSError), _locked(self._path):
            replace_file(self._path, journal_record.encode(journal_record.add(_load(self._path), self._pending)))
            self._pending = JournalRecord()


def load(path: Path) -> JournalRecord:
    """The record; empty if there is none yet.

    Raises:
        AgentError: the file cannot be read.
    """
    try:
        return _load(path)
    except OSError as error:
        raise AgentError(f"{path}: {error.strerror}", "check its owner and permissions") from error


def clear(path: Path) -> None:
    """Empties the record, even while an agent is running.

    Raises:
        AgentError: the file cannot be written.
    """
    try:
        with _locked(path, patient=True):
            replace_file(path, journal_record.encode(JournalRecord()))
    except OSError as error:
        raise AgentError(f"{path}: {error.strerror}", "check its owner and permissions") from error


def _load(path: Path) -> JournalRecord:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return JournalRecord()
    with os.fdopen(fd, "rb") as file:
        data = file.read(limits.JOURNAL_FILE + 1) or b""
    return journal_record.decode(data) if len(data) <= limits.JOURNAL_FILE else JournalRecord()


@contextlib.contextmanager
def _locked(path: Path, *, patient: bool = False) -> Iterator[None]:
    """Holds the file's lock.

    Raises:
        BlockingIOError: another process holds it, and `patient` is not set.
        OSError: the lock cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if patient else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/nonexistent"

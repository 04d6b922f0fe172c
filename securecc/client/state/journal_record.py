"""The outcome of a user's recent compiles: totals by server and by reason, with examples. Pure values that add up."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from securecc.model import limits

VERSION = 1
DISAGREEMENT = "disagreement"
"""The reason of a compile that failed on a server and succeeded locally."""

_ERRORS = 4 * limits.JOURNAL_TEXT  # of diagnostics: the first lines matter
_DAY_S = 86400.0  # the longest that a policy can let a job run
V = TypeVar("V")
_SOURCES = (b".c", b".cc", b".cpp", b".cxx", b".C", b".c++", b".cp", b".i", b".ii", b".m", b".mm", b".s", b".S")


class ServerTotals(msgspec.Struct, frozen=True):
    """What one server did: compiles, bytes sent to it and received from it, total seconds, and when it was last used
    (seconds since the epoch).
    """

    count: int = 0
    sent: int = 0
    received: int = 0
    wall_s: float = 0.0
    last: float = 0.0


class LocalCompile(msgspec.Struct, frozen=True):
    """One compile that stayed local: when (seconds since the epoch), its source, and why, in words."""

    time: float
    source: str
    detail: str


class ReasonTotals(msgspec.Struct, frozen=True):
    """Compiles that stayed local for one reason: how many, when last, and examples, the latest first."""

    count: int = 0
    last: float = 0.0
    examples: tuple[LocalCompile, ...] = ()


class Disagreement(msgspec.Struct, frozen=True):
    """A compile that failed on a server and succeeded here. `status` as in `subprocess.Popen.returncode`."""

    time: float
    server: str
    arguments: tuple[str, ...]
    status: int
    errors: str


class JournalRecord(msgspec.Struct, frozen=True):
    """Everything since `since` (seconds since the epoch; 0: nothing yet)."""

    version: int = VERSION
    since: float = 0.0
    servers: dict[str, ServerTotals] = msgspec.field(default_factory=dict)
    reasons: dict[str, ReasonTotals] = msgspec.field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def remote(self) -> int:
        """Compiles that servers ran."""
        return sum(server.count for server in self.servers.values())

    @property
    def local(self) -> int:
        """Compiles that ran here."""
        return sum(reason.count for reason in self.reasons.values())


_decoder = msgspec.json.Decoder(JournalRecord)


def encode(record: JournalRecord) -> bytes:
    """As JSON."""
    return msgspec.json.encode(record)


def decode(data: bytes) -> JournalRecord:
    """The record in a file; an empty one if it is damaged or of another version: these are only totals."""
    try:
        found = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return JournalRecord()
    return found if found.version == VERSION else JournalRecord()


def add(old: JournalRecord, new: JournalRecord) -> JournalRecord:
    """The sum of both records, within the limits of what is remembered."""
    starts = [recent.since for recent in (old, new) if recent.since]
    return JournalRecord(
        since=min(starts, default=0.0),
        servers=_latest(_joined(old.servers, new.servers, _add_served), limits.JOURNAL_SERVERS),
        reasons=_latest(_joined(old.reasons, new.reasons, _add_reason), limits.JOURNAL_REASONS),
        disagreements=(*new.disagreements, *old.disagreements)[: limits.JOURNAL_DISAGREEMENTS],
    )


def remote(now: float, server: str, sent: int, received: int, wall_s: float) -> JournalRecord:
    """One compile that a server ran. `wall_s` is as it says: what no compile takes is not added up, for JSON has
    neither infinity nor NaN, and the record could not be read again.
    """
    wall_s = wall_s if 0.0 <= wall_s <= _DAY_S else 0.0
    return JournalRecord(since=now, servers={_short(server): ServerTotals(1, sent, received, wall_s, now)})


def local(now: float, reason: str, detail: str | bytes, arguments: Iterable[bytes]) -> JournalRecord:
    """One compile that ran here, and why."""
    example = LocalCompile(now, _short(source_of(arguments)), _short(detail))
    return JournalRecord(since=now, reasons={_short(reason): ReasonTotals(1, now, (example,))})


def trouble(now: float, reason: str, detail: str) -> JournalRecord:
    """A problem that the user should know about, and no compile."""
    return JournalRecord(
        since=now, reasons={_short(reason): ReasonTotals(0, now, (LocalCompile(now, "", _short(detail)),))}
    )


def disagreement(now: float, server: str, arguments: Iterable[bytes], status: int, errors: bytes) -> JournalRecord:
    """One compile that failed on a server with `status` and these diagnostics, and succeeded here."""
    command = tuple(arguments)
    shown = tuple(_short(argument) for argument in command[: limits.JOURNAL_ARGUMENTS])
    ended = f"exit status {status}" if status >= 0 else f"signal {-status}"
    reasons = local(now, DISAGREEMENT, f"{ended} on {server}, but no error here", command).reasons
    return JournalRecord(
        since=now,
        reasons=reasons,
        disagreements=(Disagreement(now, _short(server), shown, status, _short(errors, _ERRORS)),),
    )


def source_of(arguments: Iterable[bytes]) -> bytes:
    """The source of a compile, as far as its name shows: for people, not for decisions."""
    words = [word for word in arguments if not word.startswith(b"-")]
    return next((word for word in reversed(words) if word.endswith(_SOURCES)), b"")


def _short(value: str | bytes, most: int = limits.JOURNAL_TEXT) -> str:
    """Printable text of at most `most` bytes; what is not printable is escaped as in Python."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    text = raw[:most].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    if len(raw) <= most and len(text.encode()) <= most:
        return text
    return text.encode()[: most - 3].decode("utf-8", "ignore") + "..."


def _joined(old: Mapping[str, V], new: Mapping[str, V], join: Callable[[V, V], V]) -> dict[str, V]:
    return {**old, **{name: join(old[name], value) if name in old else value for name, value in new.items()}}


def _latest(values: dict[str, V], most: int) -> dict[str, V]:
    if len(values) <= most:
        return values
    names = sorted(values, key=lambda name: getattr(values[name], "last", 0.0), reverse=True)
    return {name: values[name] for name in names[:most]}


def _add_served(old: ServerTotals, new: ServerTotals) -> ServerTotals:
    return ServerTotals(
        old.count + new.count,
        old.sent + new.sent,
        old.received + new.received,
        old.wall_s + new.wall_s,
        max(old.last, new.last),
    )


def _add_reason(old: ReasonTotals, new: ReasonTotals) -> ReasonTotals:
    examples: dict[tuple[str, str], LocalCompile] = {}
    for example in (*new.examples, *old.examples):
        examples.setdefault((example.source, example.detail), example)
    latest = tuple(examples.values())[: limits.JOURNAL_EXAMPLES]
    return ReasonTotals(old.count + new.count, max(old.last, new.last), latest)

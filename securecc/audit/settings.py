"""The settings of the audit log: the section `audit` of config.yaml, as frozen values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from securecc.audit.collectors.destination import Destination, parse_destination
from securecc.config_file.section import Section
from securecc.config_file.words import FilePath, duration, size, word
from securecc.model import limits
from securecc.model.redaction import Redaction


def _pattern(text: str) -> str:
    Redaction([text])
    return text


_COLLECTOR = word(parse_destination, r"^(/|journald$|(udp|tcp):)", "/dev/log, journald, udp:HOST:PORT or tcp:HOST:PORT")

if TYPE_CHECKING:
    Collector = Destination
else:
    Collector = Annotated[Any, _COLLECTOR]

Secret = Annotated[str, word(_pattern, ".", "An RE2 pattern; what its groups match is replaced", bare=False)]


class CheckpointSection(Section, frozen=True):
    """How much may be written between two signatures over the log."""

    records: Annotated[int, Meta(ge=1, le=1_000_000)] = limits.AUDIT_CHECKPOINT_RECORDS
    time: Annotated[float, duration(1.0, 86400.0)] = limits.AUDIT_CHECKPOINT_S


class AuditSection(Section, frozen=True):
    """The audit log."""

    file: Annotated[FilePath, Meta(description="the file that all decisions and jobs are recorded in")]
    key: Annotated[FilePath, Meta(description="Signs the log; if omitted: audit.key in the state directory")] = ""
    redact: Annotated[
        tuple[Secret, ...], Meta(max_length=limits.AUDIT_PATTERNS, description="Secrets in command lines")
    ] = ()
    send: Annotated[
        tuple[Collector, ...],
        Meta(min_length=1, max_length=limits.AUDIT_COLLECTORS, description="Collectors of checkpoints"),
    ] = ()
    checkpoint: CheckpointSection = CheckpointSection()
    rotate: Annotated[int, size(limits.MIB, 2**50)] = 0


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`file` is the log, `key` its signing key (None: `audit.key` in the daemon's state directory). `redact` are
    the patterns of secrets, `send` the collectors of checkpoints, `every` and `seconds` how many records and how long
    may pass between two. The daemon renames a log of `rotate` bytes itself; 0: it never does.
    """

    file: Path
    key: Path | None = None
    redact: tuple[str, ...] = ()
    send: tuple[Destination, ...] = ()
    every: int = limits.AUDIT_CHECKPOINT_RECORDS
    seconds: float = limits.AUDIT_CHECKPOINT_S
    rotate: int = 0


def audit_settings(section: str | AuditSection, folder: Path) -> AuditSettings:
    """The value of `audit`, which is the log's path alone or a section; relative paths are below `folder`."""
    if isinstance(section, str):
        return AuditSettings(folder / section)
    return AuditSettings(
        file=folder / section.file,
        key=folder / section.key if section.key else None,
        redact=section.redact,
        send=section.send,
        every=section.checkpoint.records,
        seconds=section.checkpoint.time,
        rotate=section.rotate,
    )

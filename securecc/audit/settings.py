"""How a site keeps its audit log: the section `audit` of config.yaml, as frozen values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from securecc.audit.collectors.destination import Destination, parse_destination
from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.quantities import duration, duration_text, size, size_text
from securecc.config_file.yaml_nodes import Node, Scalar
from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.redaction import Redaction

_KEYS = ("file", "key", "redact", "send", "checkpoint", "rotate")
_WHY = "name the file that all decisions and jobs are recorded in"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`file` is the log, `key` that which signs it (None: `audit.key` in the daemon's state directory). `redact` are
    the patterns of secrets, `send` the collectors of checkpoints, `every` and `seconds` how many records and how long
    may pass between two. The daemon renames a log of `rotate` bytes itself; 0: it leaves that to others.
    """

    file: Path
    key: Path | None = None
    redact: tuple[str, ...] = ()
    send: tuple[Destination, ...] = ()
    every: int = limits.AUDIT_CHECKPOINT_RECORDS
    seconds: float = limits.AUDIT_CHECKPOINT_S
    rotate: int = 0


def read_audit(path: Callable[[Node], Path]) -> Callable[[Node], AuditSettings]:
    """A reader of what stands under `audit`: the log's path alone, or a map. `path` reads a path."""
    return lambda node: AuditSettings(path(node)) if isinstance(node, Scalar) else _settings(node, path)


def _settings(node: Node, path: Callable[[Node], Path]) -> AuditSettings:
    section = Section(node, _KEYS)
    every, seconds = section.get(
        "checkpoint", _checkpoint, (limits.AUDIT_CHECKPOINT_RECORDS, limits.AUDIT_CHECKPOINT_S)
    )
    stored = fields.within(fields.parsed(size), limits.MIB, 2**50, size_text)
    return AuditSettings(
        file=section.need("file", path, _WHY),
        key=section.get("key", path, None),
        redact=section.get("redact", _patterns, ()),
        send=section.get("send", _collectors, ()),
        every=every,
        seconds=seconds,
        rotate=section.get("rotate", stored, 0),
    )


def _patterns(node: Node) -> tuple[str, ...]:
    found = fields.listed(_pattern)(node)
    if len(found) > limits.AUDIT_PATTERNS:
        raise node.place.error(f"{len(found)} patterns", f"at most {limits.AUDIT_PATTERNS}: join some with |")
    return found


def _pattern(node: Node) -> str:
    pattern = fields.text(node)
    try:
        Redaction([pattern])
    except ConfigError as error:
        raise node.place.error(error.message, error.advice) from error
    return pattern


def _collectors(node: Node) -> tuple[Destination, ...]:
    found = fields.filled(fields.parsed(parse_destination))(node)
    if len(found) > limits.AUDIT_COLLECTORS:
        raise node.place.error(f"{len(found)} collectors", f"at most {limits.AUDIT_COLLECTORS}")
    return found


def _checkpoint(node: Node) -> tuple[int, float]:
    section = Section(node, ("records", "time"))
    time = fields.within(fields.parsed(duration), 1.0, 86400.0, duration_text)
    return (
        section.get("records", fields.integer(1, 1_000_000), limits.AUDIT_CHECKPOINT_RECORDS),
        section.get("time", time, limits.AUDIT_CHECKPOINT_S),
    )

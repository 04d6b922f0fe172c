"""The daemon's own limits, the `limits:` of config.yaml (a job's are the policy's)."""

from dataclasses import dataclass, field

from securecc.channel.connection_gate import ConnectionLimits, Penalties
from securecc.config_file import fields
from securecc.config_file.fields import Section
from securecc.config_file.quantities import duration, duration_text, size, size_text
from securecc.config_file.yaml_nodes import Node
from securecc.model import limits
from securecc.policy.network import AddressRange, parse_range

_KEYS = (
    "store", "store_per_principal", "preauth_deadline", "connections", "connections_unauthenticated",
    "connections_per_source", "connections_known", "connections_per_known_source", "early_drop_from",
    "early_drop_percent", "penalties",
)  # fmt: skip
_PENALTIES = ("authentication", "silent", "deadline", "from", "most", "exempt")

_count = fields.integer(1, 1_000_000)
_stored = fields.within(fields.parsed(size), limits.MIB, 2**50, size_text)
_deadline = fields.within(fields.parsed(duration), 1.0, 600.0, duration_text)
_penalty = fields.within(fields.parsed(duration), 0.0, 86400.0, duration_text)
_networks = fields.listed(fields.parsed(parse_range))


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bytes, seconds, and how many connections there may be."""

    store: int = limits.STORE
    store_per_principal: int = limits.STORE_PER_PRINCIPAL
    preauth_deadline_s: float = limits.PREAUTH_DEADLINE_S
    places: ConnectionLimits = field(default_factory=ConnectionLimits)


def read_bounds(node: Node) -> ServerLimits:
    """Raises PolicyError naming file, line and key."""
    section = Section(node, _KEYS)
    default = ServerLimits()
    return ServerLimits(
        store=section.get("store", _stored, default.store),
        store_per_principal=section.get("store_per_principal", _stored, default.store_per_principal),
        preauth_deadline_s=section.get("preauth_deadline", _deadline, default.preauth_deadline_s),
        places=_places(section),
    )


def _places(section: Section) -> ConnectionLimits:
    default = ConnectionLimits()
    return ConnectionLimits(
        per_source=section.get("connections_per_source", _count, default.per_source),
        unauthenticated=section.get("connections_unauthenticated", _count, default.unauthenticated),
        known_per_source=section.get("connections_per_known_source", _count, default.known_per_source),
        returning=section.get("connections_known", _count, default.returning),
        total=section.get("connections", _count, default.total),
        begin=section.get("early_drop_from", _count, default.begin),
        rate=section.get("early_drop_percent", fields.integer(0, 100), round(default.rate * 100)) / 100,
        penalties=section.get("penalties", _read_penalties, default.penalties),
    )


def _read_penalties(node: Node) -> Penalties:
    section = Section(node, _PENALTIES)
    default = Penalties()
    none: tuple[AddressRange, ...] = ()
    return Penalties(
        authentication_s=section.get("authentication", _penalty, default.authentication_s),
        silent_s=section.get("silent", _penalty, default.silent_s),
        deadline_s=section.get("deadline", _penalty, default.deadline_s),
        from_s=section.get("from", _penalty, default.from_s),
        most_s=section.get("most", _penalty, default.most_s),
        exempt=default.exempt + tuple(str(each) for each in section.get("exempt", _networks, none)),
    )

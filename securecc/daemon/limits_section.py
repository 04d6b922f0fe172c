"""The daemon's own limits, the `limits:` of config.yaml (a job's are the policy's)."""

from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from securecc.channel.connection_gate import ConnectionLimits, Penalties
from securecc.config_file.section import Section
from securecc.config_file.words import duration, size
from securecc.model import limits
from securecc.policy.document.words import Range

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Stored = Annotated[int, size(limits.MIB, 2**50)]
Penalty = Annotated[float, duration(0.0, 86400.0)]

_PLACES: Final = ConnectionLimits()
_PENALTIES: Final = Penalties()


class PenaltiesSection(Section, frozen=True, rename={"from_": "from"}):
    """How long a source is locked out, modelled on PerSourcePenalties of sshd_config(5)."""

    authentication: Penalty = _PENALTIES.authentication_s
    silent: Penalty = _PENALTIES.silent_s
    deadline: Penalty = _PENALTIES.deadline_s
    from_: Penalty = _PENALTIES.from_s
    most: Penalty = _PENALTIES.most_s
    exempt: Annotated[tuple[Range, ...], Meta(description="Networks that get no penalties")] = ()


class ServerLimitsSection(Section, frozen=True):
    """Stored bytes, and how many connections there may be."""

    store: Stored = limits.STORE
    store_per_principal: Stored = limits.STORE_PER_PRINCIPAL
    preauth_deadline: Annotated[float, duration(1.0, 600.0)] = limits.PREAUTH_DEADLINE_S
    connections: Count = _PLACES.total
    connections_unauthenticated: Count = _PLACES.unauthenticated
    connections_per_source: Count = _PLACES.per_source
    connections_known: Count = _PLACES.returning
    connections_per_known_source: Count = _PLACES.known_per_source
    early_drop_from: Count = _PLACES.begin
    early_drop_percent: Annotated[int, Meta(ge=0, le=100)] = round(_PLACES.rate * 100)
    penalties: PenaltiesSection = PenaltiesSection()


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bytes, seconds, and how many connections there may be."""

    store: int = limits.STORE
    store_per_principal: int = limits.STORE_PER_PRINCIPAL
    preauth_deadline_s: float = limits.PREAUTH_DEADLINE_S
    places: ConnectionLimits = field(default_factory=ConnectionLimits)


def server_limits(section: ServerLimitsSection) -> ServerLimits:
    """The limits that a section sets."""
    penalties = section.penalties
    return ServerLimits(
        store=section.store,
        store_per_principal=section.store_per_principal,
        preauth_deadline_s=section.preauth_deadline,
        places=ConnectionLimits(
            per_source=section.connections_per_source,
            unauthenticated=section.connections_unauthenticated,
            known_per_source=section.connections_per_known_source,
            returning=section.connections_known,
            total=section.connections,
            begin=section.early_drop_from,
            rate=section.early_drop_percent / 100,
            penalties=Penalties(
                authentication_s=penalties.authentication,
                silent_s=penalties.silent,
                deadline_s=penalties.deadline,
                from_s=penalties.from_,
                most_s=penalties.most,
                exempt=_PENALTIES.exempt + tuple(map(str, penalties.exempt)),
            ),
        ),
    )

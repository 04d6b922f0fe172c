"""A policy as a value. `document.policy_document` makes it from text, `decision` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from securecc.config_file.yaml_nodes import Place
from securecc.model import limits as bound
from securecc.model.grant import CacheScope, JobLimits, Quota
from securecc.model.principal import Principal, PrincipalPattern
from securecc.policy.network import Address, AddressRange, Network

DENIED = "denied"  # what a test expects if no rule allows, so no rule may have this name
NETWORK = "network"  # the rule's name in a decision that the network ACL made
NOTHING = "nothing-matched"  # ... and in one that no rule made

NOWHERE = Place("", 0, 0)  # of what is in no document

RESERVED = frozenset([DENIED, NETWORK, NOTHING])

Action = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class UnixGroup:
    """A group of the name service. Its members are principals of one component in `realm`."""

    name: str
    realm: str


Memberships = Mapping[UnixGroup, frozenset[Principal]]
"""The answers of the name service. The members of a group that is missing here are not known: no look-up succeeded."""


@dataclass(frozen=True, slots=True)
class Group:
    """Principals under one name: listed, in a file, or members of unix groups. `file` is relative to the policy's
    folder; `members` are the principals in it, once it has been read.
    """

    name: str
    principals: frozenset[Principal] = frozenset()
    patterns: tuple[PrincipalPattern, ...] = ()
    file: str = ""
    members: frozenset[Principal] = frozenset()
    unix_groups: tuple[UnixGroup, ...] = ()
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. What is empty is not a condition: no `groups` and `patterns` (in a deny rule only) mean everybody, no
    `sources` every address, no `indicators` every ticket; one of several indicators is enough, as for MIT Kerberos.
    """

    name: str
    action: Action = "allow"
    groups: tuple[str, ...] = ()
    patterns: tuple[PrincipalPattern, ...] = ()
    sources: tuple[AddressRange, ...] = ()
    indicators: tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ("*",)
    limits: JobLimits = field(default_factory=JobLimits)
    jobs: int = bound.JOBS_PER_PRINCIPAL
    quota: Quota = field(default_factory=Quota)
    weight: float = 1.0
    cache: CacheScope = "none"
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What the policy's author expects of it. `unix_groups` are those that the principal is assumed to be in, so
    that the outcome never depends on a name service. `indicators` are the ticket's; None: all that the rules require.
    """

    principal: Principal
    address: Address
    expect: str
    place: Place
    indicators: tuple[str, ...] | None = None
    unix_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy: a document and those it includes. The first rule that matches decides, those of `document` before
    the others'. `revision` identifies all documents and group files by their content.
    """

    document: str
    revision: str
    network: Network
    groups: Mapping[str, Group]
    rules: tuple[Rule, ...]
    tests: tuple[PolicyTest, ...] = ()

    @property
    def unix_groups(self) -> tuple[UnixGroup, ...]:
        """The unix groups of all groups, each once."""
        return tuple(dict.fromkeys(each for group in self.groups.values() for each in group.unix_groups))

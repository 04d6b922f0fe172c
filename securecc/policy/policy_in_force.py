"""The policy in force. A new one is loaded and tested as a whole, then swapped in; a bad one leaves the old one."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from securecc.model import limits
from securecc.model.errors import ConfigError, Denied, PolicyError, SecureccError
from securecc.model.grant import Grant
from securecc.model.principal import Principal
from securecc.policy.decision import Decision, decide, network_admits
from securecc.policy.loading import load
from securecc.policy.model import NOTHING, Memberships, Policy
from securecc.policy.network import parse_address
from securecc.policy.unix_groups import UnixGroups

log = logging.getLogger("securecc.policy")

_REFUSAL = "you may not compile here"  # the same words for every denial: strangers learn no rule and no name
_ADVICE = "ask the administrators of this server, with the reference number"


@dataclass(frozen=True, slots=True)
class _State:
    """What a decision reads: swapped as one value, so that no decision sees half a reload."""

    policy: Policy
    memberships: Memberships


class PolicyInForce:
    """Decides by the policy in a file. Made before the event loop runs: it reads the file and looks up its unix groups.

    `judge`, `decide` and `admits` never block. `on_change` is called on the event loop after every change of the policy
    or of a unix group's members: open connections are to be judged again.

    Raises:
        PolicyError: the policy is not usable: a daemon does not start without one.
    """

    def __init__(
        self,
        path: Path,
        groups: UnixGroups | None = None,
        on_change: Callable[[], None] = lambda: None,
        owners: Collection[int] = (),
    ) -> None:
        """`owners` are uids that may own the policy's files besides root's and this process's."""
        self._path = path
        self._owners = owners
        self._groups = groups or UnixGroups()
        self.on_change = on_change
        self._lock = asyncio.Lock()
        self._warned: tuple[str, ...] = ()
        self.generation = 1
        self._state = self._read()

    @property
    def policy(self) -> Policy:
        """The document in force."""
        return self._state.policy

    @property
    def revision(self) -> str:
        """Identifies the document in force and its group files by their content."""
        return self._state.policy.revision

    def admits(self, address: str) -> bool:
        """Whether connections from this address are accepted at all; False for a text that is not an address."""
        try:
            return network_admits(self._state.policy, parse_address(address))
        except PolicyError:
            return False

    def believes(self, address: str) -> bool:
        """Whether this address is a proxy's, which is believed when it names the address of its client."""
        try:
            return self._state.policy.network.believes(parse_address(address))
        except PolicyError:
            return False

    def decide(self, principal: bytes, address: str, indicators: Collection[str] = ()) -> Decision:
        """The decision with its reasons. Never raises: a malformed name or address is denied."""
        state = self._state
        try:
            who, where = Principal.parse(principal), parse_address(address)
        except SecureccError:
            return Decision(False, NOTHING, ())
        return decide(state.policy, who, where, indicators, state.memberships)

    def judge(self, principal: bytes, address: str, indicators: Collection[str] = ()) -> Grant:
        """The grant of an authenticated principal (as krb5_unparse_name(3) writes it) at an address.

        Raises:
            Denied: the policy does not allow it. The message is the same for every denial, `rule` is for the audit log.
        """
        decision = self.decide(principal, address, indicators)
        if decision.grant is None:
            raise Denied(_REFUSAL, _ADVICE, rule=decision.rule)
        return decision.grant

    async def reload(self) -> ConfigError | None:
        """Puts the current content of the file in force, or leaves everything as it is and returns the error."""
        async with self._lock:
            try:
                state = await asyncio.to_thread(self._read)
            except ConfigError as error:
                log.error("the policy was not reloaded; revision %s stays in force: %s", self.revision, error)  # noqa: TRY400 - the error says it all, a trace would hide it
                return error
            self._swap(state)
            log.info("policy revision %s is in force", self.revision)
            return None

    async def refresh(self) -> None:
        """Looks up the members of the unix groups again; the document stays."""
        async with self._lock:
            policy = self._state.policy
            memberships = await asyncio.to_thread(self._ask, policy)
            self._swap(_State(policy, memberships))

    async def keep_fresh(self) -> NoReturn:
        """Refreshes every `limits.GROUP_REFRESH_S`, until cancelled."""
        while True:
            await asyncio.sleep(limits.GROUP_REFRESH_S)
            await self.refresh()

    def _swap(self, state: _State) -> None:
        if state != self._state:
            self._state = state
            self.generation += 1
            self.on_change()

    def _read(self) -> _State:
        loaded = load(self._path, self._owners)
        if loaded.distrust:
            raise PolicyError(loaded.distrust[0])
        for warning in loaded.warnings:
            log.warning("%s", warning)
        return _State(loaded.policy, self._ask(loaded.policy))

    def _ask(self, policy: Policy) -> Memberships:
        memberships, warnings = self._groups.refresh(policy.unix_groups)
        if warnings != self._warned:
            self._warned = warnings
            for warning in warnings:
                log.warning("%s", warning)
        return memberships

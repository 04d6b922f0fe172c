"""What the front keeps for one principal, however many connections it opens: its rate of jobs, its manifests."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from securecc.model import limits
from securecc.server.jobs.token_bucket import TokenBucket
from securecc.server.jobs.validation import ManifestCache


class PrincipalAccount:
    """One principal's account. `channels` counts its open channels; `starts` bounds how fast its jobs may begin,
    `turns` how much of the front's time its channels may take.
    """

    __slots__ = ("channels", "manifests", "principal", "starts", "turns")

    def __init__(self, principal: str, manifests: ManifestCache, clock: Callable[[], float]) -> None:
        self.principal = principal
        self.channels = 0
        self.manifests = manifests
        self.starts = TokenBucket(clock)
        self.turns = TokenBucket(clock)

    def pace(self, seconds: float) -> float:
        """How many seconds a channel must wait after it took `seconds` of the front's time in one turn."""
        self.turns.take(seconds, limits.TURNS_RATE, limits.TURNS_BURST_S)
        return self.turns.wait(0.0, limits.TURNS_RATE, limits.TURNS_BURST_S)


class PrincipalAccounts:
    """The accounts of principals that have or had channels: reconnecting does not reset an account."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: OrderedDict[str, PrincipalAccount] = OrderedDict()
        self.manifest_bytes = 0

    def __iter__(self) -> Iterator[PrincipalAccount]:
        return iter(self._accounts.values())

    def open(self, principal: str) -> PrincipalAccount:
        """The account of a principal that opens one more channel."""
        account = self._accounts.get(principal)
        if account is None:
            account = self._accounts[principal] = PrincipalAccount(principal, ManifestCache(self._grown), self._clock)
        account.channels += 1
        self._accounts.move_to_end(principal)
        self._forget()
        return account

    def close(self, account: PrincipalAccount) -> None:
        """One of its channels has ended; with the last one its manifests are forgotten."""
        account.channels -= 1
        if not account.channels:
            account.manifests.clear()

    def _forget(self) -> None:
        """Forgets principals without channels, the least recently seen first."""
        more = len(self._accounts) - limits.ACCOUNTS
        if more > 0:
            for gone in [each for each in self._accounts.values() if not each.channels][:more]:
                del self._accounts[gone.principal]

    def _grown(self, size: int) -> None:
        """Counts `size` more bytes of manifests. If all take too many, the principal with the most loses some."""
        self.manifest_bytes += size
        while size > 0 and self.manifest_bytes > limits.MANIFEST_BYTES_IN_ALL:
            max(self._accounts.values(), key=lambda account: account.manifests.size).manifests.drop_oldest()

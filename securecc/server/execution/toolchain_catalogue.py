"""What a server offers now: its toolchains, and the shared trees that jobs may use."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from securecc.compiler.toolchain.toolchain_list import KnownToolchain, write
from securecc.model.grant import Grant
from securecc.model.manifest import Digest
from securecc.model.messages import SharedTree
from securecc.runner_protocol.messages import Offer

log = logging.getLogger("securecc")


class ToolchainCatalogue:
    """Used by connections; replaced as a whole when a runner has other toolchains. `file` is written each time, for
    commands that list what a daemon offers.
    """

    def __init__(self, file: Path) -> None:
        self.shared_trees: frozenset[SharedTree] = frozenset()
        self._file = file
        self._offers: dict[Digest, Offer] = {}

    @property
    def toolchains(self) -> tuple[Offer, ...]:
        """All that are offered, to any principal."""
        return tuple(self._offers.values())

    def get(self, digest: Digest) -> Offer | None:
        """The toolchain of this digest, if it is offered."""
        return self._offers.get(digest)

    def granted(self, grant: Grant) -> tuple[Offer, ...]:
        """Those that a grant covers."""
        return tuple(offer for offer in self._offers.values() if grant.covers(offer.name))

    def replace(self, toolchains: Sequence[Offer], shared_trees: frozenset[SharedTree]) -> None:
        """Offers these from now on."""
        self.shared_trees = shared_trees
        self._offers = {offer.digest: offer for offer in toolchains}
        try:
            write(
                self._file,
                [
                    KnownToolchain(offer.digest, offer.called_by, offer.description, witnessed=offer.witnessed)
                    for offer in toolchains
                ],
            )
        except OSError as error:
            log.warning("cannot write %s: %s", os.fspath(self._file), error.strerror)

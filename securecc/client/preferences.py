"""Settings as each launcher's environment has them, read from files again only now and then."""

import os
import time
from collections.abc import Mapping

from securecc.client.settings import Settings, read_settings

READ_AGAIN_S = 1.0
"""A change of a settings file counts after this long."""

_KEPT = 64


class Preferences:
    """The settings of one agent's launchers."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[bytes, bytes], ...], tuple[float, Settings]] = {}

    def of(self, environment: Mapping[bytes, bytes]) -> Settings:
        """The settings in force for a launcher with this environment. Never raises."""
        own = tuple(item for item in environment.items() if item[0].startswith((b"SECURECC_", b"XDG_", b"HOME")))
        now = time.monotonic()
        known = self._known.get(own)
        if known is not None and now - known[0] < READ_AGAIN_S:
            return known[1]
        names = {os.fsdecode(name): os.fsdecode(value) for name, value in own}
        settings = read_settings(names, names.get("HOME") or os.environ.get("HOME", ""))
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[own] = (now, settings)
        return settings

"""Settings as each launcher's environment has them, read from files again only when these have changed."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from securecc.client.state.settings import Settings, paths, read_settings
from securecc.model import limits
from securecc.system.stat_key import StatKey, path_stat_key

LOOKED_AT_S = 1.0
"""A change of a settings file counts after this long."""

_KEPT = 64


@dataclass(slots=True)
class _Read:
    settings: Settings
    stamps: tuple[tuple[bytes, StatKey | None], ...]
    at_ns: int
    looked: float

    def holds(self) -> bool:
        """A file that had only just been written may have been written once more without a new stamp."""
        now = time.monotonic()
        if now - self.looked < LOOKED_AT_S:
            return True
        self.looked = now
        rested = self.at_ns - int(limits.RACY_STAT_S * 1e9)
        return all(
            path_stat_key(path, follow=True) == stamp and (stamp is None or stamp[4] < rested)
            for path, stamp in self.stamps
        )


class SettingsCache:
    """The settings of one agent's launchers."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[bytes, bytes], ...], _Read] = {}

    def of(self, environment: Mapping[bytes, bytes]) -> Settings:
        """The settings in force for a launcher with this environment. Never raises."""
        own = tuple(item for item in environment.items() if item[0].startswith((b"SECURECC_", b"XDG_", b"HOME")))
        known = self._known.get(own)
        if known is not None and known.holds():
            return known.settings
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[own] = found = _read(own)
        return found.settings


def _read(own: tuple[tuple[bytes, bytes], ...]) -> _Read:
    names = {os.fsdecode(name): os.fsdecode(value) for name, value in own}
    home = names.get("HOME") or os.environ.get("HOME", "")
    stamps = tuple((path, path_stat_key(path, follow=True)) for path in map(os.fsencode, paths(names, home)))
    return _Read(read_settings(names, home), stamps, time.time_ns(), time.monotonic())

"""The settings for each launcher's environment; files are read again only when they have changed."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from securecc.client.state.settings import Settings, paths, read_settings
from securecc.model import limits
from securecc.system.stat_key import StatKey, path_stat_key

POLL_S = 1.0
"""A change of a settings file takes effect after this long."""

_Variables = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class _Read:
    settings: Settings
    stat_keys: tuple[tuple[bytes, StatKey | None], ...]
    at_ns: int
    checked: float

    def holds(self) -> bool:
        """Whether the files are unchanged. A file written only just before may have been written again without a new
        stat key.
        """
        now = time.monotonic()
        if now - self.checked < POLL_S:
            return True
        self.checked = now
        rested = self.at_ns - int(limits.RACY_STAT_S * 1e9)
        return all(
            path_stat_key(path, follow=True) == key and (key is None or key.ctime_ns < rested)
            for path, key in self.stat_keys
        )


class SettingsCache:
    """The settings of one agent's launchers, `most` of them."""

    def __init__(self, most: int = limits.SETTINGS_REMEMBERED) -> None:
        self._known: LRUCache[_Variables, _Read] = LRUCache(most)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, environment: Mapping[bytes, bytes]) -> Settings:
        """The settings in force for a launcher with this environment. Never raises."""
        variables = tuple(item for item in environment.items() if item[0].startswith((b"SECURECC_", b"XDG_", b"HOME")))
        known = self._known.get(variables)
        if known is not None and known.holds():
            return known.settings
        self._known[variables] = found = _read(variables)
        return found.settings


def _read(variables: _Variables) -> _Read:
    names = {os.fsdecode(name): os.fsdecode(value) for name, value in variables}
    home = names.get("HOME") or os.environ.get("HOME", "")
    stat_keys = tuple((path, path_stat_key(path, follow=True)) for path in map(os.fsencode, paths(names, home)))
    return _Read(read_settings(names, home), stat_keys, time.time_ns(), time.monotonic())

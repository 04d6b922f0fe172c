"""Values from files that are renewed while the daemon runs."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from securecc.model.errors import SecureccError
from securecc.system.stat_key import StatKey, path_stat_key

log = logging.getLogger("securecc")

_T = TypeVar("_T")


class Reloadable(Generic[_T]):
    """`value` is what `read` made of the files when it last succeeded: while new files cannot be used, the old value
    stays in use. `name` is what the log calls it.

    Raises:
        SecureccError: what `read` raises, when made.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], _T]) -> None:
        self._name = name
        self._paths = paths
        self._read = read
        self._seen = self._stat_keys()
        self.value = read()

    def refresh(self) -> None:
        """Reads the files again if they have changed."""
        keys = self._stat_keys()
        if keys == self._seen:
            return
        self._seen = keys
        try:
            self.value = self._read()
        except SecureccError as error:
            log.error("the new %s cannot be used, the old one stays in use: %s", self._name, error)  # noqa: TRY400 - the error says it all
            return
        log.info("%s reloaded", self._name)

    def _stat_keys(self) -> list[StatKey | None]:
        return [path_stat_key(os.fsencode(path), follow=True) for path in self._paths]

"""Values from files that are renewed while the daemon runs."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from securecc.model.errors import SecureccError

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
        self._seen = self._stamps()
        self.value = read()

    def refresh(self) -> None:
        """Reads the files again if they have changed."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.value = self._read()
        except SecureccError as error:
            log.error("the new %s cannot be used, the old one stays in use: %s", self._name, error)  # noqa: TRY400 - the error says it all
            return
        log.info("%s reloaded", self._name)

    def _stamps(self) -> list[tuple[int, int, int]]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns

"""Whether anything in some directories has changed since the last call: inotify(7), through libc."""

import ctypes
import os
import struct
import weakref
from collections.abc import Iterable

from securecc.model.errors import StaysLocal

_libc = ctypes.CDLL(None, use_errno=True)

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF, _UNMOUNT = 0x100, 0x200, 0x400, 0x800, 0x2000
_CHANGES = (
    _MODIFY
    | _ATTRIB
    | _CLOSE_WRITE
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _UNMOUNT
)
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW, _ADD = 0x01000000, 0x02000000, 0x20000000
_LOCAL = frozenset(
    {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0x2FC12FC1, 0xF2F52010}
)  # ext4, xfs, btrfs, tmpfs, overlay, zfs, f2fs (statfs(2)): others may change without an event
_EVENT = struct.Struct("iIII")
_BUFFER = 64 * 1024


class Inotify:
    """Watches directories for owners, each named by any bytes. The kernel keeps events until they are read, so an
    answer covers everything up to the call.
    """

    def __init__(self) -> None:
        """Opens an instance.

        Raises:
            StaysLocal: the kernel allows no more instances (max_user_instances).
        """
        self._descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise StaysLocal("watch", _failure("inotify"))
        self._owners: dict[int, frozenset[bytes]] = {}
        self._close = weakref.finalize(self, os.close, self._descriptor)  # a user has 128 instances by default

    def watch(self, directories: Iterable[bytes], owner: bytes) -> None:
        """Watches these directories (absolute paths without symlinks), and that those above them are not moved.

        Raises:
            StaysLocal: one cannot be watched (max_user_watches); then none is watched for this owner.
        """
        watched = dict.fromkeys(directories, _CHANGES)
        for directory in tuple(watched):
            while (directory := os.path.dirname(directory)) not in watched:
                watched[directory] = _DELETE_SELF | _MOVE_SELF
        alone = frozenset((owner,))
        for directory, changes in watched.items():
            number = _libc.inotify_add_watch(self._descriptor, directory, changes | _ADD | _ONLYDIR | _DONT_FOLLOW)
            if number < 0:
                failure = _failure(os.fsdecode(directory))
                self.forget(owner)
                raise StaysLocal("watch", failure)
            others = self._owners.get(number)
            self._owners[number] = alone if others is None else others | alone

    def changed(self) -> set[bytes]:
        """The owners whose directories have changed since the last call; all owners after an overflow of the queue."""
        found: set[bytes] = set()
        while True:
            try:
                data = os.read(self._descriptor, _BUFFER)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                number, mask, _, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                if mask & _OVERFLOW:
                    found.update(*self._owners.values())
                else:
                    found.update(self._owners.get(number, ()))
                if mask & _IGNORED:
                    self._owners.pop(number, None)

    def forget(self, owner: bytes) -> None:
        """Stops watching for `owner`."""
        for number, owners in list(self._owners.items()):
            if owners == {owner}:
                del self._owners[number]
                _libc.inotify_rm_watch(self._descriptor, number)
            elif owner in owners:
                self._owners[number] = owners - {owner}

    def close(self) -> None:
        """Closes the instance, as does its end as an object."""
        self._close()


def is_local(path: bytes) -> bool:
    """Whether inotify reports every change on the path's file system, since no other machine can write to it
    (statfs(2)).
    """
    answer = (ctypes.c_long * 32)()
    return _libc.statfs(path, answer) == 0 and answer[0] & 0xFFFFFFFF in _LOCAL


def _failure(what: str) -> str:
    return f"{what} cannot be watched: {os.strerror(ctypes.get_errno())}"

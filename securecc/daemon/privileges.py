"""How a process of the daemon becomes another user and restricts itself."""

import os
from collections.abc import Sequence

from securecc.daemon.settings import User
from securecc.model.errors import ConfigError
from securecc.sandbox import namespaces
from securecc.system.descriptors import allow_as_many_as_possible


def become(user: User, needed: Sequence[str]) -> None:
    """Gives up root to become `user`, who must be able to read the `needed` places.

    Raises:
        ConfigError: the user cannot read one of them.
    """
    namespaces.switch_user(user.uid, user.gid)
    os.environ["HOME"] = "/"
    os.umask(0o077)
    check_readable(user, needed)


def check_readable(user: User, places: Sequence[str]) -> None:
    """Python imports lazily: a module that the daemon's user cannot read would break it much later.

    Raises:
        ConfigError: this process, which runs as `user`, cannot read one of `places`.
    """
    for place in places:
        if not os.access(place, os.R_OK):
            advice = "install securecc and its Python where all users can read them, not in a private home directory"
            raise ConfigError(f"user {user.name} cannot read {place}", advice)


def harden() -> None:
    """Keeps other processes from reading the keys in memory, and allows as many descriptors as blobs and connections
    need.
    """
    namespaces.harden()
    allow_as_many_as_possible()

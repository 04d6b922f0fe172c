"""The daemon's keys: the acceptor of the keytab as it is on disk now."""

import os

from securecc.channel import kerberos
from securecc.daemon import file_permissions
from securecc.daemon.reloadable import Reloadable
from securecc.daemon.settings import DaemonSettings
from securecc.model import limits
from securecc.model.errors import CredentialError


def keytab(settings: DaemonSettings) -> Reloadable[kerberos.Acceptor]:
    """The acceptor for connections. Kerberos opens a keytab anew for each client; it opens a copy in memory, so that a
    bad file spoils no keys in use.

    Raises CredentialError, and ConfigError for keys that somebody else could have written: a daemon does not start
    without its own.
    """
    return Reloadable("keytab", (settings.keytab,), lambda: _acceptor(settings))


def _acceptor(settings: DaemonSettings) -> kerberos.Acceptor:
    file_permissions.check_keytab(settings)
    path = os.fspath(settings.keytab)
    kerberos.check_keytab(path, settings.accepts)
    try:
        with open(path, "rb") as file:
            keys = file.read(limits.KEYTAB)
        # Never closed: an acceptor knows it by its number, which must not come to mean another file.
        copy = os.memfd_create("keytab", os.MFD_CLOEXEC)
        os.fchmod(copy, 0o400)
        os.write(copy, keys)
    except OSError as error:
        raise CredentialError(f"cannot read keytab {path}: {error.strerror}") from error
    return kerberos.Acceptor(f"/proc/self/fd/{copy}", settings.accepts, os.fspath(settings.state / "replay"))

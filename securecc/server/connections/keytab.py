"""The daemon's keys: the acceptor of the keytab as it is on disk now."""

import os

from securecc.channel import kerberos
from securecc.daemon import file_permissions
from securecc.daemon.reloadable import Reloadable
from securecc.daemon.settings import DaemonSettings
from securecc.model import limits
from securecc.model.errors import CredentialError


def keytab(settings: DaemonSettings) -> Reloadable[kerberos.Acceptor]:
    """The acceptor for connections. Kerberos opens the keytab again for each client, so it gets a copy in memory: a bad
    file does not affect the keys in use.

    Raises:
        CredentialError: the keytab cannot be read, or has no key for the service.
        ConfigError: others can write the keytab.
    """
    return Reloadable("keytab", (settings.keytab,), lambda: _acceptor(settings))


def _acceptor(settings: DaemonSettings) -> kerberos.Acceptor:
    file_permissions.check_keytab(settings)
    path = os.fspath(settings.keytab)
    kerberos.check_keytab(path, settings.accepts)
    try:
        with open(path, "rb") as file:
            keys = file.read(limits.KEYTAB)
        # Never closed: the acceptor refers to it by number, which must never be reused.
        copy = os.memfd_create("keytab", os.MFD_CLOEXEC)
        os.fchmod(copy, 0o400)
        os.write(copy, keys)
    except OSError as error:
        raise CredentialError(f"cannot read keytab {path}: {error.strerror}") from error
    return kerberos.Acceptor(f"/proc/self/fd/{copy}", settings.accepts, os.fspath(settings.state / "replay"))

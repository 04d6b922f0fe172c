"""The daemon's keys: the acceptor of the keytab as it is on disk now."""

import logging
import os

from securecc.channel import kerberos
from securecc.server import custody
from securecc.server.settings import ServerSettings
from securecc.words import limits
from securecc.words.errors import CredentialError, SecureccError

log = logging.getLogger("securecc")


class Keytab:
    """A changed keytab takes over when it is good; until then the keys in use stay.

    Kerberos opens a keytab anew for each client; it opens a copy in memory, so that a bad file spoils no keys in use.
    Raises CredentialError when made, and ConfigError for keys that somebody else could have written: a daemon does not
    start without its own.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._path = os.fspath(settings.keytab)
        self._service = settings.accepts
        self._cache = os.fspath(settings.state / "replay")
        self._seen = self._stamp()
        self._acceptor = self._read()

    def acceptor(self) -> kerberos.Acceptor:
        """The acceptor for the next connection."""
        return self._acceptor

    def look(self) -> None:
        """Takes a changed keytab into use, unless it is bad: then the keys in use stay."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._acceptor = self._read()
        except SecureccError as error:
            log.error("the keytab is not read again: %s", error)  # noqa: TRY400 - the error says it all
            return
        log.info("keytab %s read again", self._path)

    def _read(self) -> kerberos.Acceptor:
        custody.check_keytab(self._settings)
        kerberos.check_keytab(self._path, self._service)
        try:
            with open(self._path, "rb") as file:
                keys = file.read(limits.KEYTAB)
            # Never closed: an acceptor knows it by its number, which must not come to mean another file.
            copy = os.memfd_create("keytab", os.MFD_CLOEXEC)
            os.fchmod(copy, 0o400)
            os.write(copy, keys)
        except OSError as error:
            raise CredentialError(f"cannot read keytab {self._path}: {error.strerror}") from error
        return kerberos.Acceptor(f"/proc/self/fd/{copy}", self._service, self._cache)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._path)
        except OSError:
            return (0, 0, 0)
        return (status.st_ino, status.st_size, status.st_mtime_ns)

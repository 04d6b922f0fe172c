"""What the daemon shows in TLS: the site's certificate as it is on disk now, or one of its own making."""

import os

from securecc.channel import tls
from securecc.daemon import file_permissions
from securecc.daemon.reloadable import Reloadable
from securecc.daemon.settings import DaemonSettings


def certificate(settings: DaemonSettings) -> Reloadable[tls.Context]:
    """The context for connections. Raises ConfigError for files that are no certificate and its key, that somebody else
    could have written, or a key that others can read.
    """
    pair = settings.tls
    if pair is None:
        return Reloadable("TLS certificate", (), tls.server_context)

    def read() -> tls.Context:
        file_permissions.check_certificate(settings)
        return tls.site_context(os.fspath(pair.certificate), os.fspath(pair.key))

    return Reloadable("TLS certificate", (pair.certificate, pair.key), read)

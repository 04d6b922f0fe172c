"""The daemon's TLS certificate: the site's as it is on disk now, or a self-signed one."""

import os

from securecc.channel import tls
from securecc.daemon import file_permissions
from securecc.daemon.reloadable import Reloadable
from securecc.daemon.settings import DaemonSettings


def certificate(settings: DaemonSettings) -> Reloadable[tls.Context]:
    """The context for connections.

    Raises:
        ConfigError: the files are not a certificate and its key, others can write them, or others can read the key.
    """
    pair = settings.tls
    if pair is None:
        return Reloadable("TLS certificate", (), tls.server_context)

    def read() -> tls.Context:
        file_permissions.check_certificate(settings)
        return tls.site_context(os.fspath(pair.certificate), os.fspath(pair.key))

    return Reloadable("TLS certificate", (pair.certificate, pair.key), read)

"""Whether the daemon's own files are its own: keytab, TLS key, audit log and state, and the way to each of them.

Who may write one of these rules the daemon, so they are looked at when it starts, at each reload, and the keys
whenever they have changed. The policy's files are judged where they are read (`securecc.policy.loading`).
"""

import os
import stat
from pathlib import Path

from securecc.daemon.settings import DaemonSettings
from securecc.model.errors import ConfigError
from securecc.model.file_trust import distrust
from securecc.policy.files import folders_distrust

_OTHERS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


def owners(settings: DaemonSettings) -> tuple[int, ...]:
    """Who may own the daemon's files, root apart: whoever this process is, and whom the daemon becomes."""
    return (os.geteuid(),) if settings.users is None else (os.geteuid(), settings.users.front.uid)


def check(settings: DaemonSettings) -> None:
    """All of them. Raises ConfigError for the first that could be somebody else's work."""
    check_keytab(settings)
    whose = owners(settings)
    check_certificate(settings)
    _check(settings.audit.file, whose, "writes the record", group=True)
    _check(settings.state, whose, "gives files to jobs", group=True)


def check_keytab(settings: DaemonSettings) -> None:
    """The keytab alone: who writes it can prove to be anybody, who reads it can be the server. Raises ConfigError."""
    _check_secret(settings.keytab, owners(settings), "can prove to be anybody")


def check_certificate(settings: DaemonSettings) -> None:
    """The site's TLS certificate and its key, where there are any. Raises ConfigError."""
    if settings.tls is not None:
        whose = owners(settings)
        _check(settings.tls.certificate, whose, "chooses what the server shows")
        _check_secret(settings.tls.key, whose, "chooses what the server shows")


def _check_secret(path: Path, whose: tuple[int, ...], harm: str) -> None:
    found = _check(path, whose, harm)
    if found is not None and found.st_mode & _OTHERS:
        advice = f"chmod 0400 {path}, or 0440 with a group of the daemon alone"
        raise ConfigError(f"{path}: others than the daemon may read it ({stat.filemode(found.st_mode)})", advice)


def _check(path: Path, whose: tuple[int, ...], harm: str, *, group: bool = False) -> os.stat_result | None:
    """What is there; what is not there yet is nobody's."""
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    said = distrust(str(path), found, whose, harm) if found is not None else ""
    said = said or folders_distrust(path, whose, harm, group=group)
    if said:
        raise ConfigError(said)
    return found

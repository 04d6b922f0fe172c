"""Ownership and permissions of the daemon's own files: keytab, TLS key, audit log, state, and all folders above them.

Anyone who can write one of these controls the daemon, so they are checked when it starts and at each reload, and the
keys whenever they change. The policy's files are checked where they are read (`securecc.policy.loading`).
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
    """The uids that may own the daemon's files besides root: this process's, and the front's."""
    return (os.geteuid(),) if settings.users is None else (os.geteuid(), settings.users.front.uid)


def make_folders(settings: DaemonSettings, *folders: Path) -> None:
    """Makes the folders that do not exist, for the front alone.

    Raises:
        ConfigError: one of them cannot be made.
    """
    for folder in folders:
        if folder.is_dir():
            continue
        try:
            folder.mkdir(mode=0o700, parents=True)
            if settings.users is not None and os.getuid() == 0:
                os.chown(folder, settings.users.front.uid, settings.users.front.gid)
        except OSError as error:
            raise ConfigError(
                f"cannot make {folder}: {error.strerror}", "make it, or name another directory"
            ) from error


def check(settings: DaemonSettings) -> None:
    """Checks all of them.

    Raises:
        ConfigError: other users own or may write one of them, or may read a key.
    """
    check_keytab(settings)
    whose = owners(settings)
    check_certificate(settings)
    _check(settings.audit.file, whose, "can forge audit records", group=True)
    _check(settings.state, whose, "can change the jobs' files", group=True)


def check_keytab(settings: DaemonSettings) -> None:
    """Checks the keytab: anyone who can write it can impersonate any principal, anyone who can read it the server.

    Raises:
        ConfigError: other users own it or may write it, or others than its owner and group may read it.
    """
    _check_secret(settings.keytab, owners(settings), "can impersonate any principal")


def check_certificate(settings: DaemonSettings) -> None:
    """Checks the site's TLS certificate and its key, where there are any.

    Raises:
        ConfigError: other users own or may write one of them, or may read the key.
    """
    if settings.tls is not None:
        whose = owners(settings)
        _check(settings.tls.certificate, whose, "controls the server's certificate")
        _check_secret(settings.tls.key, whose, "controls the server's certificate")


def _check_secret(path: Path, whose: tuple[int, ...], harm: str) -> None:
    found = _check(path, whose, harm)
    if found is not None and found.st_mode & _OTHERS:
        advice = f"chmod 0400 {path}, or 0440 with a group that only the daemon has"
        raise ConfigError(f"{path}: others than the daemon may read it (mode {stat.filemode(found.st_mode)})", advice)


def _check(path: Path, whose: tuple[int, ...], harm: str, *, group: bool = False) -> os.stat_result | None:
    """The file's status; None if there is no file.

    Raises:
        ConfigError: other users own or may write it, or a folder above it.
    """
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

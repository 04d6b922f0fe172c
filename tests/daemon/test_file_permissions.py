"""Attacks on the daemon's own files by somebody of the same machine: each is noticed before the file is used."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from securecc.audit.settings import AuditSettings
from securecc.daemon import file_permissions
from securecc.daemon.settings import DaemonSettings, User, Users
from securecc.model.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path) -> DaemonSettings:
    for folder in ("etc", "log", "state"):
        (tmp_path / folder).mkdir(mode=0o755)
    for name, mode in (("etc/keytab", 0o400), ("log/audit.jsonl", 0o640)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    return DaemonSettings(
        keytab=tmp_path / "etc/keytab",
        policy=tmp_path / "etc/policy.yaml",
        audit=AuditSettings(tmp_path / "log/audit.jsonl"),
        state=tmp_path / "state",
        scratch=tmp_path / "scratch",
    )


def test_files_of_the_daemons_own(settings: DaemonSettings) -> None:
    file_permissions.check(settings)
    settings.keytab.chmod(0o440)  # for a group of the daemon alone
    file_permissions.check(settings)


def test_what_is_not_there_yet_is_nobodys(settings: DaemonSettings) -> None:
    settings.audit.file.unlink()
    settings.audit.file.parent.rmdir()
    settings.state.rmdir()
    settings.keytab.unlink()
    file_permissions.check(settings)


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("etc/keytab", 0o404, "others than the daemon may read it"),
        ("etc/keytab", 0o444, "others than the daemon may read it"),
        ("etc/keytab", 0o420, "anyone who can write it can impersonate any principal"),
        ("etc/keytab", 0o402, "anyone who can write it can impersonate any principal"),
        ("etc", 0o777, "anyone who can write it can impersonate any principal"),
        ("etc", 0o775, "anyone who can write it can impersonate any principal"),
        ("log/audit.jsonl", 0o646, "anyone who can write it can forge audit records"),
        ("log", 0o777, "anyone who can write it can forge audit records"),
        ("state", 0o702, "anyone who can write it can change the jobs' files"),
        (".", 0o777, "anyone who can write it can impersonate any principal"),
    ],
)
def test_what_others_can_write_or_read(
    settings: DaemonSettings, tmp_path: Path, name: str, mode: int, said: str
) -> None:
    (tmp_path / name).chmod(mode)
    try:
        with pytest.raises(ConfigError, match=said):
            file_permissions.check(settings)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has root's files")
def test_a_log_folder_of_root_and_a_group(settings: DaemonSettings) -> None:
    settings.audit.file.parent.chmod(0o775)
    file_permissions.check(settings)
    settings.keytab.parent.chmod(0o775)
    with pytest.raises(ConfigError, match="can impersonate any principal"):
        file_permissions.check(settings)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["etc/keytab", "etc", "log/audit.jsonl", "log", "state"])
def test_what_is_somebody_elses_and_not_the_fronts(settings: DaemonSettings, tmp_path: Path, name: str) -> None:
    os.chown(tmp_path / name, 12345, -1)
    with pytest.raises(ConfigError, match="owned by uid 12345"):
        file_permissions.check(settings)
    users = Users(User(12345, 12345, "front"), User(12346, 12346, "runner"))
    file_permissions.check(replace(settings, users=users))
    with pytest.raises(ConfigError, match="owned by uid 12345"):
        file_permissions.check(replace(settings, users=Users(users.runner, users.front)))


def test_a_link_to_a_place_of_somebody_elses(settings: DaemonSettings, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    settings.keytab.rename(tmp_path / "open/keytab")
    settings.keytab.symlink_to(tmp_path / "open/keytab")
    with pytest.raises(ConfigError, match=f"{tmp_path}/open: others"):
        file_permissions.check_keytab(settings)


def test_what_cannot_be_looked_at_is_not_trusted(settings: DaemonSettings) -> None:
    settings.keytab.unlink()
    settings.keytab.symlink_to("keytab")
    with pytest.raises(ConfigError, match="Too many levels"):
        file_permissions.check(settings)


def test_a_folder_that_cannot_be_made(settings: DaemonSettings) -> None:
    (settings.state / "file").touch()
    with pytest.raises(ConfigError, match="cannot make "):
        file_permissions.make_folders(settings, settings.state / "file")

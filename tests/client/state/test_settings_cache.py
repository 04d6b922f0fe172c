"""Settings by a launcher's environment."""

import os
from pathlib import Path

import pytest

from securecc.client.state import settings_cache
from securecc.client.state.settings_cache import SettingsCache


def test_each_environment_has_its_own() -> None:
    known = SettingsCache()
    one = known.of({b"SECURECC_HOSTS": b"one", b"HOME": b"/nowhere", b"LANG": b"C"})
    two = known.of({b"SECURECC_HOSTS": b"two", b"HOME": b"/nowhere"})
    assert [str(host) for settings in (one, two) for host in settings.hosts] == ["one", "two"]
    assert known.of({b"SECURECC_HOSTS": b"one", b"HOME": b"/nowhere", b"LANG": b"de"}) is one


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_changes_is_read_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    folder = tmp_path / ".config" / "securecc"
    folder.mkdir(parents=True)
    if link:
        (folder / "hosts").symlink_to(tmp_path / "elsewhere")
    environment = {b"HOME": os.fsencode(tmp_path)}
    known = SettingsCache()
    (folder / "hosts").write_text("one")
    assert known.of(environment).hosts[0].name == "one"
    (folder / "hosts").write_text("two")
    assert known.of(environment).hosts[0].name == "one"
    now[0] += settings_cache.POLL_S + 0.01
    assert known.of(environment).hosts[0].name == "two"


def test_a_file_that_rests_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    known = SettingsCache()
    environment = {b"HOME": os.fsencode(tmp_path)}
    first = known.of(environment)
    now[0] += settings_cache.POLL_S + 0.01
    assert known.of(environment) is first
    (tmp_path / ".config/securecc").mkdir(parents=True)
    (tmp_path / ".config/securecc/hosts").write_text("one")
    now[0] += settings_cache.POLL_S + 0.01
    assert known.of(environment).hosts[0].name == "one"


def test_a_launcher_without_a_home_has_the_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "securecc").mkdir(parents=True)
    (tmp_path / ".config" / "securecc" / "hosts").write_text("mine")
    assert SettingsCache().of({}).hosts[0].name == "mine"


def test_what_is_no_text_breaks_nothing() -> None:
    settings = SettingsCache().of({b"SECURECC_HOSTS": b"\xff\xfe", b"HOME": b"/\xff", b"XDG_CONFIG_HOME": b"\xff"})
    assert settings.hosts == ()


def test_memory_is_bounded() -> None:
    known = SettingsCache(most=3)
    for number in range(10):
        known.of({b"SECURECC_HOSTS": b"h%d" % number})
        assert len(known) <= 3

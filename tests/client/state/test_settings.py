import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.state.host_list import Host
from securecc.client.state.settings import (
    Settings,
    SettingsFiles,
    directories,
    read_settings,
    resolve,
)
from securecc.model import limits


def test_nothing_said() -> None:
    assert resolve({}, processors=6) == Settings(local_slots=6)


def test_the_stronger_wins() -> None:
    user = SettingsFiles("~/.config/securecc", "userhost", "fallback = no\nverbose = yes\nlocal_slots = 3\n")
    site = SettingsFiles(
        "/etc/securecc", "sitehost", "service = compile\nlocal_slots = 9\nhosts = other\nca = /ca.pem\n"
    )
    assert resolve({}, (user, site)) == Settings((Host("userhost"),), False, True, 3, "compile", "/ca.pem")
    found = resolve({"SECURECC_HOSTS": "envhost", "SECURECC_VERBOSE": "0"}, (user, site))
    assert (found.hosts, found.verbose) == ((Host("envhost"),), False)
    found = resolve({"SECURECC_HOSTS": "envhost"}, (user, site), arguments={"hosts": "arghost"})
    assert found.hosts == (Host("arghost"),)
    assert resolve({}, (SettingsFiles("u"), site)).hosts == (Host("sitehost"),)


def test_local_slots_may_stand_in_the_host_list() -> None:
    assert resolve({"SECURECC_HOSTS": "localhost/2 farm"}, processors=8).local_slots == 2
    assert resolve({"SECURECC_HOSTS": "localhost/2 farm", "SECURECC_LOCAL_SLOTS": "5"}).local_slots == 5


def test_an_empty_variable_is_none_but_an_empty_host_list_is_said() -> None:
    site = SettingsFiles("/etc/securecc", "sitehost")
    found = resolve({"SECURECC_HOSTS": "", "SECURECC_FALLBACK": ""}, (site,))
    assert (found.hosts, found.fallback) == ((), True)


@pytest.mark.parametrize(
    ("value", "fallback"), [("0", False), ("no", False), ("1", True), ("YES", True), (" 0 ", False)]
)
def test_fallback(value: Any, fallback: Any) -> None:
    assert resolve({"SECURECC_FALLBACK": value}).fallback is fallback


def test_a_bad_setting_is_left_out_and_named() -> None:
    found = resolve(
        {"SECURECC_HOSTS": "good bad/x", "SECURECC_FALLBACK": "perhaps", "SECURECC_LOCAL_SLOTS": "many",
         "SECURECC_SERVICE": "a/b"},
        (SettingsFiles("/etc/securecc", config="colour = red\nnonsense\n"),),
    )  # fmt: skip
    assert found.hosts == (Host("good"),)
    assert (found.fallback, found.local_slots, found.service) == (True, 1, "securecc")
    text = "\n".join(found.troubles)
    assert len(found.troubles) == 6
    for part in (
        "SECURECC_HOSTS",
        "perhaps",
        "many",
        "a/b",
        "/etc/securecc/config:1",
        "colour",
        "/etc/securecc/config:2",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("key", "word", "said"),
    [
        ("verbose", "perhaps", "verbose: 'perhaps' is neither yes nor no; write 1 or 0"),
        ("local_slots", "0", "local_slots: '0' is not a whole number from 1 to 4096"),
        ("local_slots", "4097", "local_slots: '4097' is not a whole number from 1 to 4096"),
        ("service", "a b", "service: 'a b' is not a Kerberos service; write a word, such as securecc"),
    ],
)
def test_what_a_key_does_not_take_is_named_with_its_place(key: str, word: str, said: str) -> None:
    found = resolve({}, (SettingsFiles("d", config=f"\n{key} = {word}\n"),))
    assert found == Settings(troubles=(f"d/config:2: {said}",))


def test_an_argument_that_is_no_setting_means_nothing() -> None:
    assert resolve({}, arguments={"troubles": "x", "colour": "red"}) == Settings()


def test_directories_as_xdg_has_them() -> None:
    assert [str(path) for path in directories({}, "/home/alice")] == ["/home/alice/.config/securecc", "/etc/securecc"]
    assert str(directories({"XDG_CONFIG_HOME": "/x"}, "/home/alice")[0]) == "/x/securecc"
    assert str(directories({"XDG_CONFIG_HOME": "rel"}, "/home/alice")[0]) == "/home/alice/.config/securecc"
    assert [str(path) for path in directories({}, "")] == ["/etc/securecc"]


def test_files_are_read(tmp_path: Path) -> None:
    own, site = tmp_path / "own" / "securecc", tmp_path / "site"
    own.mkdir(parents=True)
    site.mkdir()
    (own / "hosts").write_text("farm1/2\n# none\nfarm2\n")
    (site / "config").write_text("verbose = 1  # say it\n")
    found = read_settings({"XDG_CONFIG_HOME": str(own.parent)}, "/", site=site)
    assert found == Settings((Host("farm1", slots=2), Host("farm2")), verbose=True, local_slots=found.local_slots)


def test_files_that_are_none_are_named_and_break_nothing(tmp_path: Path) -> None:
    own = tmp_path / "securecc"
    own.mkdir()
    os.mkfifo(own / "hosts")
    (own / "config").write_bytes(b"x" * (limits.SETTINGS_FILE + 1))
    found = read_settings({"XDG_CONFIG_HOME": str(tmp_path)}, "/", site=tmp_path / "none")
    assert found.hosts == ()
    assert "not a settings file" in found.troubles[0]
    (own / "hosts").unlink()
    (own / "hosts").mkdir()
    (own / "config").write_bytes(b"verbose = 1\n\xff\n")
    found = read_settings({"XDG_CONFIG_HOME": str(tmp_path)}, "/", site=tmp_path / "none")
    assert found.verbose
    assert len(found.troubles) == 2


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["SECURECC_HOSTS", "SECURECC_FALLBACK", "SECURECC_LOCAL_SLOTS"]), st.text()),
    st.text(),
    st.text(),
)
def test_settings_never_raise(environ: Any, hosts: Any, config: Any) -> None:
    found = resolve(environ, (SettingsFiles("x", hosts, config),))
    assert 1 <= found.local_slots <= 4096

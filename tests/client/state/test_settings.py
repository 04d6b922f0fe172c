import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.state.settings import (
    Host,
    Settings,
    SettingsFiles,
    directories,
    parse_host,
    parse_hosts,
    read_settings,
    resolve,
)
from securecc.model import limits
from securecc.model.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("farm1", Host("farm1")),
        ("farm1/8", Host("farm1", slots=8)),
        ("farm1:4000", Host("farm1", 4000)),
        ("farm1.example.com:4000/16,lzo", Host("farm1.example.com", 4000, 16)),
        ("10.1.2.3/2,cpp,lzo", Host("10.1.2.3", slots=2)),
        ("[2001:db8::1]", Host("2001:db8::1")),
        ("[2001:db8::1]:4000/3", Host("2001:db8::1", 4000, 3)),
        ("[fe80::1%eth0]/3", Host("fe80::1%eth0", slots=3)),
        ("farm1,auth=securecc/vip.example.com", Host("farm1", principal="securecc/vip.example.com")),
        ("farm1,auth", Host("farm1")),
        ("localhost:4000/2", Host("localhost", 4000, 2)),
        ("localhost", 0),
        ("localhost/3", 3),
    ],
)
def test_hosts_as_distcc_writes_them(word: Any, host: Any) -> None:
    assert parse_host(word) == host


@pytest.mark.parametrize(
    "word",
    ["farm:", "farm:x", "farm:0", "farm:65536", "farm/0", "farm/", "farm/x", "farm/5000", "farm,zip", "farm,auth=",
     "/4", ":3643", "[::1", "[::1]x", "[]", "-farm", "a b", "2001:db8::1", "farm/²", "@farm", "farm:1:2", "fä"],
)  # fmt: skip
def test_what_is_no_host_is_named(word: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_host(word)
    assert caught.value.advice


def test_a_host_list() -> None:
    hosts, local, troubles = parse_hosts("--randomize localhost/2 farm1/4 # the old one\nfarm2 farm1/9 bad/x\n#farm3\n")
    assert hosts == (Host("farm1", slots=4), Host("farm2"))
    assert local == 2
    assert len(troubles) == 1
    assert "bad/x" in troubles[0]


def test_a_host_as_text() -> None:
    assert [str(Host("farm1")), str(Host("farm1", 4000))] == ["farm1", "farm1:4000"]
    assert [str(Host("::1")), str(Host("2001:db8::1", 4000))] == ["[::1]", "[2001:db8::1]:4000"]


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


@settings(max_examples=150)
@given(st.text(max_size=60))
def test_any_word_is_a_host_or_a_config_error(word: Any) -> None:
    try:
        host = parse_host(word)
    except ConfigError:
        return
    if isinstance(host, Host):
        principal = f",auth={host.principal}" if host.principal else ""
        limit = f"/{host.slots}" if host.slots else ""
        assert parse_host(f"{host}{limit}{principal}") == host


@settings(max_examples=100)
@given(
    st.dictionaries(st.sampled_from(["SECURECC_HOSTS", "SECURECC_FALLBACK", "SECURECC_LOCAL_SLOTS"]), st.text()),
    st.text(),
    st.text(),
)
def test_settings_never_raise(environ: Any, hosts: Any, config: Any) -> None:
    found = resolve(environ, (SettingsFiles("x", hosts, config),))
    assert 1 <= found.local_slots <= 4096

import os
import resource
from pathlib import Path

import pytest

from securecc.daemon import privileges
from securecc.daemon.settings import User
from securecc.model.errors import ConfigError
from securecc.sandbox import namespaces

ALICE = User(1001, 1001, "alice")


def test_becoming_somebody_leaves_nothing_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    for name in ("setgroups", "setresgid", "setresuid", "umask"):
        monkeypatch.setattr(os, name, lambda *words, name=name: calls.append((name, *words)))

    def setuid(uid: int) -> None:
        raise PermissionError(f"no way back to {uid}")

    monkeypatch.setattr(os, "setuid", setuid)
    monkeypatch.setenv("HOME", "/root")
    privileges.become(ALICE, ())
    assert calls == [("setgroups", []), ("setresgid", 1001, 1001, 1001), ("setresuid", 1001, 1001, 1001), ("umask", 63)]
    assert os.environ["HOME"] == "/"


def test_an_installation_that_the_front_cannot_read_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"user .* cannot read .*absent"):
        privileges.check_readable(ALICE, [str(tmp_path), str(tmp_path / "absent")])


def test_as_many_descriptors_as_may_be_and_nobody_looks_in(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda *words: asked.append(words))
    monkeypatch.setattr(namespaces, "harden", lambda: asked.append("closed"))
    privileges.harden()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert asked == ["closed", (resource.RLIMIT_NOFILE, (most, most))]

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from securecc.client.state.journal import Journal, clear, default_path, load
from securecc.client.state.journal_record import JournalRecord
from securecc.model import limits
from securecc.model.errors import AgentError
from securecc.model.redaction import Redaction


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "securecc" / "recent.json"


@pytest.fixture
def journal(path: Path, clock: Clock) -> Journal:
    return Journal(path, clock=clock, tick=clock)


def test_the_first_event_is_written_at_once(journal: Journal, path: Path) -> None:
    journal.local("no-ticket", "no Kerberos ticket", [b"gcc", b"-c", b"a.c"])
    assert load(path).reasons["no-ticket"].examples[0].source == "a.c"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_later_ones_are_written_once_a_second(journal: Journal, path: Path, clock: Clock) -> None:
    journal.remote("farm1:3643", [b"gcc"], sent=5, received=7, wall_s=0.1)
    for _ in range(10):
        journal.remote("farm1:3643", sent=5, received=7)
    assert load(path).remote == 1
    journal.flush()
    assert load(path).servers["farm1:3643"].sent == 55
    clock.now += limits.JOURNAL_WRITE_S
    journal.remote("farm1:3643")
    assert load(path).remote == 12


def test_close_writes_the_rest(journal: Journal, path: Path) -> None:
    journal.remote("farm1:3643")
    journal.disagreement("farm1:3643", [b"gcc", b"a.c"], 1, b"a.c:1: error\n")
    journal.close()
    journal.close()
    assert (load(path).remote, load(path).local) == (1, 1)
    assert load(path).disagreements[0].server == "farm1:3643"


def test_two_agents_add_up(journal: Journal, path: Path, clock: Clock) -> None:
    other = Journal(path, clock=clock, tick=clock)
    journal.remote("farm1:3643")
    other.remote("farm1:3643")
    assert load(path).remote == 2


def test_counts_survive_the_agent_and_can_be_cleared_under_it(journal: Journal, path: Path, clock: Clock) -> None:
    journal.remote("farm1:3643")
    clear(path)
    assert load(path) == JournalRecord()
    clock.now += 5
    journal.remote("farm1:3643")
    assert load(path).remote == 1


def test_while_somebody_else_writes_nothing_is_lost(journal: Journal, path: Path, clock: Clock) -> None:
    journal.remote("farm1:3643")
    clock.now += 5
    with path.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        journal.remote("farm1:3643")
        assert load(path).remote == 1
    clock.now += 5
    journal.flush()
    assert load(path).remote == 2


def test_a_full_disk_disturbs_nobody_and_leaves_nothing(
    journal: Journal, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.remote("farm1:3643")
    clock.now += 5

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        journal.remote("farm1:3643")
    assert {item.name for item in path.parent.iterdir()} == {"recent.json", "recent.lock"}
    journal.close()
    assert load(path).remote == 2


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"servers":1}', b"x" * (limits.JOURNAL_FILE + 1)])
def test_a_damaged_file_is_begun_anew(journal: Journal, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert load(path) == JournalRecord()
    journal.remote("farm1:3643")
    assert load(path).remote == 1


def test_a_link_is_not_followed(journal: Journal, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    (tmp_path / "victim").write_text("precious")
    for name in (path, path.with_suffix(".lock")):
        name.unlink(missing_ok=True)
        name.symlink_to(tmp_path / "victim")
        journal.remote("farm1:3643")
        journal.close()
        with contextlib.suppress(FileNotFoundError):
            name.unlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_cannot_be_read_is_an_agent_error(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(AgentError, match="check its owner and permissions"):
        load(path)
    path.rmdir()
    path.parent.rmdir()
    path.parent.write_text("a file in the way")
    with pytest.raises(AgentError):
        clear(path)


def test_no_place_at_all_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "recent.json")
    journal.local("x", "y")
    journal.close()


def test_the_place_is_as_xdg_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(default_path({"XDG_STATE_HOME": "/s", "HOME": "/h"})) == "/s/securecc/recent.json"
    assert str(default_path({"XDG_STATE_HOME": "s", "HOME": "/h"})) == "/h/.local/state/securecc/recent.json"
    assert default_path({}).name == "recent.json"
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)
    assert str(default_path({})).startswith("/nonexistent")


def test_no_secret_that_the_site_has_named_is_written_down(path: Path, clock: Clock) -> None:
    journal = Journal(path, redaction=Redaction([r"-D\w*TOKEN=(.*)"]), clock=clock, tick=clock)
    arguments = [b"gcc", b"-DMY_TOKEN=hunter2", b"-c", b"a.c"]
    journal.local("option", "'-DMY_TOKEN=hunter2' is not understood", arguments)
    journal.disagreement("farm1:3643", arguments, 1, b"a.c:1: error: hunter2 was not declared\n")
    journal.close()
    written = path.read_bytes()
    assert b"hunter2" not in written
    assert written.count(b"[redacted]") >= 3
    assert load(path).reasons["option"].examples[0].source == "a.c"

import os
import stat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model.file_trust import distrust

ALICE, BOB = 1000, 1001
FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR


def status(mode: Any, uid: Any) -> Any:
    return os.stat_result((mode, 1, 1, 1, uid, uid, 0, 0, 0, 0))


def said(mode: Any, uid: Any, owners: Any = (ALICE,)) -> Any:
    return distrust("/etc/x", status(mode, uid), owners, "can let anyone in")


@pytest.mark.parametrize("uid", [0, ALICE])
@pytest.mark.parametrize("mode", [FILE | 0o644, FILE | 0o400, FOLDER | 0o755, FOLDER | 0o1777, FOLDER | 0o1775])
def test_what_can_be_gone_by(mode: Any, uid: Any) -> None:
    assert said(mode, uid) == ""


@pytest.mark.parametrize("mode", [FILE | 0o664, FILE | 0o646, FILE | 0o1666, FOLDER | 0o775, FOLDER | 0o777])
def test_what_others_may_write(mode: Any) -> None:
    assert said(mode, ALICE).endswith("anyone who can write it can let anyone in: chmod go-w /etc/x")


def test_what_is_somebody_elses() -> None:
    assert said(FILE | 0o644, BOB) == "/etc/x: owned by uid 1001, not by root or uid 1000: chown root /etc/x"
    assert said(FOLDER | 0o1777, BOB)
    assert said(FILE | 0o644, BOB, (ALICE, BOB)) == ""


@given(st.integers(0, 0o7777), st.sampled_from([0, ALICE, BOB]), st.booleans())
def test_never_trusted_where_others_could_write(mode: Any, uid: Any, folder: Any) -> None:
    if not said(mode | (FOLDER if folder else FILE), uid):
        assert uid != BOB
        assert not mode & 0o022 or (folder and mode & 0o1000)


def test_a_group_that_root_lets_write() -> None:
    """As /var/log on some systems; what anybody may write, and a group that somebody else lets, are another matter."""
    for mode, uid, trusted in ((0o775, 0, True), (0o777, 0, False), (0o775, ALICE, False)):
        said = distrust("/var/log", status(FOLDER | mode, uid), (ALICE,), "x", group=True)
        assert (said == "") is trusted

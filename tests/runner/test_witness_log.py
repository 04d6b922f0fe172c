"""The log of a job's questions: made by the runner, written by the job, read as a stranger's word."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import SandboxError
from securecc.model.manifest import digest
from securecc.runner.witness_log import SIZE, WitnessLog
from securecc.sandbox import mount_plan

HEADER = struct.Struct("=IIQQQII24x")
FORM = int.from_bytes(b"SCW1", "little")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / mount_plan.OWN_DIRECTORY.decode().lstrip("/")).mkdir()
    return tmp_path


def place(root: Path) -> Path:
    return root / mount_plan.WITNESS_LOG.decode().lstrip("/")


def write(root: Path, records: bytes, **changes: int) -> None:
    """What programs of a job would have left."""
    values = {"form": FORM, "overflow": 0, "taken": len(records), "finished": len(records), "begun": 1, "started": 0}
    values |= changes
    capacity = SIZE - HEADER.size
    with place(root).open("r+b") as file:
        counts = (values["taken"], values["finished"], values["begun"], values["started"])
        file.write(HEADER.pack(values["form"], values["overflow"], capacity, *counts) + records)


def test_each_question_once_and_sorted(root: Path) -> None:
    log = WitnessLog(os.fsencode(root))
    write(root, b"Nfb\0Nfa\0Nfb\0", begun=3, started=2)
    found = log.read()
    assert found is not None
    assert found.questions == b"Nfa\0Nfb"
    assert found.digest == digest(b"Nfa\0Nfb")
    kept = log.keep()
    assert os.pread(kept, 100, 0) == b"Nfa\0Nfb"
    assert place(root).stat().st_size == SIZE  # it may be an output of the job's by now
    os.close(kept)
    log.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"form": 1},
        {"overflow": 1},
        {"finished": 3},
        {"taken": 5},
        {"taken": 2**63, "finished": 2**63},
        {"taken": limits.WITNESS + 1, "finished": limits.WITNESS + 1},
        {"begun": 0},
        {"begun": 2},
        {"started": 1},
    ],
)
def test_what_may_not_be_whole_is_nothing(root: Path, changes: dict[str, int]) -> None:
    log = WitnessLog(os.fsencode(root))
    write(root, b"Nfa\0", **changes)
    assert log.read() is None
    log.close()


def test_more_questions_than_a_client_takes_are_none(root: Path) -> None:
    log = WitnessLog(os.fsencode(root))
    asked = [b"N-%d" % number for number in range(limits.QUESTIONS + 1)]
    write(root, b"\0".join(asked[1:]) + b"\0")
    assert log.read() is not None
    write(root, b"\0".join(asked) + b"\0")
    assert log.read() is None
    log.close()


def test_a_job_that_truncates_its_log_has_none(root: Path) -> None:
    log = WitnessLog(os.fsencode(root))
    write(root, b"Nfa\0")
    for size in (HEADER.size + 2, HEADER.size - 1, 0):
        os.truncate(place(root), size)
        assert log.read() is None
    log.close()


def test_a_job_that_puts_another_file_in_its_place_is_not_believed(root: Path) -> None:
    log = WitnessLog(os.fsencode(root))
    write(root, b"Nfa\0")
    place(root).unlink()
    place(root).symlink_to("/etc/passwd")
    found = log.read()
    assert found is not None
    assert found.questions == b"Nfa"
    log.close()


def test_a_log_is_not_made_where_something_is(root: Path) -> None:
    place(root).symlink_to(root / "elsewhere")
    with pytest.raises(SandboxError, match="questions"):
        WitnessLog(os.fsencode(root))
    assert not (root / "elsewhere").exists()


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_log_or_none(root: Path, data: bytes) -> None:
    place(root).unlink(missing_ok=True)
    log = WitnessLog(os.fsencode(root))
    with place(root).open("r+b") as file:
        file.write(data)
    log.read()
    log.close()

"""Every limit: a number, with its reason where it stands, and consistent with the others."""

import ast
from pathlib import Path
from typing import Any

import pytest

from securecc.model import limits

SOURCE = Path(limits.__file__).read_text()
NAMES = [name for name in vars(limits) if name.isupper()]
BYTES_OF_TREES = (limits.KIB, limits.MIB, limits.GIB)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_a_positive_number(name: Any) -> None:
    value = getattr(limits, name)
    assert isinstance(value, int | float)
    assert value > 0


def test_each_is_said_once() -> None:
    targets = [ast.unparse(node.targets[0]) for node in ast.parse(SOURCE).body if isinstance(node, ast.Assign)]
    assert sorted(targets) == sorted(NAMES)


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ("PREAUTH_FRAME", "PREAUTH_TOTAL"),
        ("GSS_STEP_S", "PREAUTH_DEADLINE_S"),
        ("STARTUPS_BEGIN", "CONNECTIONS_UNAUTHENTICATED"),
        ("CONNECTIONS_PER_SOURCE", "CONNECTIONS_UNAUTHENTICATED"),
        ("CONNECTIONS_UNAUTHENTICATED", "CONNECTIONS"),
        ("HEARTBEAT_S", "HEARTBEAT_LOST_S"),
        ("WRITE_HIGH", "SEND_BACKLOG"),
        ("FRAME_BULK", "WRITE_HIGH"),
        ("ARGUMENT", "ARGUMENTS_TOTAL"),
        ("ARGUMENTS_TOTAL", "FRAME_CONTROL"),
        ("ARGUMENTS_TOTAL", "LAUNCHER_MESSAGE"),
        ("PATH_COMPONENT", "PATH"),
        ("BLOB", "JOB_SOURCE"),
        ("JOB_SOURCE", "STORE_PER_PRINCIPAL"),
        ("STORE_PER_PRINCIPAL", "STORE"),
        ("OUTPUT", "RESULT"),
        ("AGENT_KEEPALIVE_S", "LAUNCHER_SILENCE_S"),
        ("AUDIT_ARGUMENTS", "AUDIT_RECORD"),
        ("FRAME_CONTROL", "WORK_TREE"),
        ("WORK_BLOBS", "MANIFEST_ENTRIES"),
        ("WORK_MADE", "WORK_MADE_LISTED"),
    ],
)
def test_what_must_fit_into_another_does(smaller: Any, larger: Any) -> None:
    assert getattr(limits, smaller) < getattr(limits, larger)

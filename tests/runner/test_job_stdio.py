"""A job's standard descriptors: what is kept, and what is left of them where one cannot be had."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from securecc.model.errors import SandboxError
from securecc.model.grant import JobLimits
from securecc.model.messages import Terminal
from securecc.runner import job_stdio as stdio_module
from securecc.runner.job_stdio import JobStdio
from securecc.runner_protocol.messages import WorkOrder


def order(**terminal: bool) -> WorkOrder:
    limits = JobLimits(diagnostics=4)
    return WorkOrder(1, b"t" * 32, (b"gcc",), {}, b"/", 0o22, Terminal(**terminal), limits, 0)


@pytest.fixture
def counted() -> Iterator[None]:
    """No descriptor is left."""
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


def test_what_is_too_much_is_cut_and_told(tmp_path: Path, counted: None) -> None:
    stdio = JobStdio(order(), os.fsencode(tmp_path), 0)
    assert stdio.descriptors[0] == 0
    os.write(stdio.descriptors[1], b"out")
    assert not stdio.overflowing()
    os.write(stdio.descriptors[2], b"error")
    assert stdio.overflowing()
    assert stdio.finish() == b"error"
    taken = stdio.take()
    stdio.close()
    assert [os.read(descriptor, 9) for descriptor in taken] == [b"out", b"erro"]
    for descriptor in taken:
        os.close(descriptor)


def test_nothing_is_left_where_there_is_no_terminal(
    tmp_path: Path, counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise SandboxError("no pseudo-terminal")

    monkeypatch.setattr(stdio_module, "PseudoTerminal", none)
    with pytest.raises(SandboxError, match="no pseudo-terminal"):
        JobStdio(order(error=True), os.fsencode(tmp_path), 0)


def test_nothing_is_left_where_there_is_no_file(tmp_path: Path, counted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two can be made, the second cannot."""
    opened, roots = os.open, iter((os.fsencode(tmp_path), b"/nonexistent"))
    monkeypatch.setattr(os, "open", lambda _root, *how: opened(next(roots), *how))
    with pytest.raises(SandboxError, match="no file for a job's output: No such file"):
        JobStdio(order(), os.fsencode(tmp_path), 0)

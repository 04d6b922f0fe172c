"""Processes with all that they have started, as proc(5) shows them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from securecc.model import limits
from securecc.sandbox import process_tree

BUSY = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"


@contextmanager
def script(text: str) -> Iterator[int]:
    """The pid of a shell that runs this, until its first line of output at least."""
    with subprocess.Popen(["sh", "-c", text], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child.pid
        finally:
            os.killpg(child.pid, signal.SIGKILL)


def test_the_usage_of_all_processes_is_summed() -> None:
    with script(f"sleep 600 & sleep 600 & {BUSY}; echo; wait") as pid:
        cpu_s, memory = process_tree.usage(pid, 10)
        assert len(process_tree.children(pid)) == 2
    assert cpu_s > 0
    assert memory > 3 * 100 * limits.KIB
    assert process_tree.usage(pid, 10) == (0, 0)
    assert process_tree.children(pid) == []


def test_no_more_processes_are_counted_than_asked_for() -> None:
    with script("for n in $(seq 400); do sleep 600 & done; echo; wait") as pid:
        few, all_of_them = (process_tree.usage(pid, most)[1] for most in (256, 500))
    assert few < all_of_them

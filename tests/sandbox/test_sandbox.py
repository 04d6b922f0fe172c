"""What all ways into a sandbox share: limits, supervision, how an ending is read. The ways themselves: test_runner."""

import asyncio
import os
import resource
import signal
import subprocess
from dataclasses import replace

import pytest

from securecc.model import limits
from securecc.model.grant import JobLimits
from securecc.model.messages import Usage
from securecc.sandbox import sandbox


def test_the_resource_limits_of_a_job():
    given = JobLimits(cpu_s=1.5, memory=1 << 30, processes=9, output=1 << 20, diagnostics=10)
    said = {which: (soft, hard) for which, soft, hard in sandbox.rlimits(given)}
    expected = {
        resource.RLIMIT_AS: (1 << 30, 1 << 30),
        resource.RLIMIT_CPU: (2, 3),
        resource.RLIMIT_FSIZE: (1 << 20, 1 << 20),
        resource.RLIMIT_NPROC: (9, 9),
        resource.RLIMIT_CORE: (0, 0),
    }
    assert expected.items() <= said.items()


def test_the_processes_of_a_tree_are_summed():
    script = "sleep 60 & sleep 60 & i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        child.stdout.readline()
        cpu_s, memory = sandbox._together(child.pid, 10)
        os.killpg(child.pid, signal.SIGKILL)
    assert cpu_s > 0
    assert memory > 3 * 100 * limits.KIB
    assert sandbox._together(child.pid, 10) == (0, 0)


def test_none_of_a_jobs_processes_hides_behind_the_others():
    """Who may have many has all of them counted, those last that began first."""
    script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; for n in $(seq 400); do sleep 60 & done; echo; wait"

    class Watched(sandbox.RunningSandbox):
        def __init__(self):
            self._limits, self._limit, self._overflowing = (
                JobLimits(processes=500, memory=1),
                "",
                sandbox.never_overflows,
            )
            self._loop = asyncio.new_event_loop()

        def kill(self, limit=""):
            self._limit = self._limit or limit

    watched = Watched()
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        child.stdout.readline()
        watched._top = child.pid
        few, all_of_them = (sandbox._together(child.pid, most)[1] for most in (256, 500))
        watched._limits = replace(watched._limits, memory=(few + all_of_them) // 2)
        watched._supervise()
        os.killpg(child.pid, signal.SIGKILL)
    watched._loop.close()
    assert watched._limit == "memory"


def ending(status, limit="", cpu_s=0.0):
    return sandbox.SandboxResult(status, limit, Usage(user_s=cpu_s), ran=True)


@pytest.mark.parametrize(
    ("how", "diagnostics", "limit"),
    [
        (ending(0), b"No space left on device", ""),
        (ending(1), b"a.c:1: error: x", ""),
        (ending(-9, "wall"), b"", "wall"),
        (ending(-signal.SIGXCPU), b"", "cpu"),
        (ending(-signal.SIGXFSZ), b"", "output"),
        (ending(1, cpu_s=61.0), b"", "cpu"),
        (ending(1), b"gcc: fatal error: CPU time limit exceeded signal terminated program cc1", "cpu"),
        (ending(1), b"File size limit exceeded signal terminated program as", "output"),
        (ending(1), b"/.securecc/tmp/x.s: No space left on device", "output"),
        (ending(1), b"cc1plus: out of memory allocating 65536 bytes", "memory"),
        (ending(1), b"gcc: fatal error: cannot execute 'as': vfork: Resource temporarily unavailable", "processes"),
    ],
)
def test_which_limit_it_was(how, diagnostics, limit):
    assert sandbox.limit_from_diagnostics(how, diagnostics, JobLimits()) == limit

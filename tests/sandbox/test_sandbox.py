"""What all sandboxes share: their resource limits, and which limit ended one. Real compiles run in test_runner."""

import resource
import signal

import pytest

from securecc.model.grant import JobLimits
from securecc.model.messages import LimitName, Usage
from securecc.sandbox import sandbox


def test_the_resource_limits_of_a_job() -> None:
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


def ended(status: int, limit: LimitName = "", cpu_s: float = 0.0) -> sandbox.SandboxResult:
    return sandbox.SandboxResult(status, limit, Usage(user_s=cpu_s), ran=True)


@pytest.mark.parametrize(
    ("how", "diagnostics", "limit"),
    [
        (ended(0), b"No space left on device", ""),
        (ended(1), b"a.c:1: error: x", ""),
        (ended(-9, "wall"), b"", "wall"),
        (ended(-signal.SIGXCPU), b"", "cpu"),
        (ended(-signal.SIGXFSZ), b"", "output"),
        (ended(1, cpu_s=61.0), b"", "cpu"),
        (ended(1), b"gcc: fatal error: CPU time limit exceeded signal terminated program cc1", "cpu"),
        (ended(1), b"File size limit exceeded signal terminated program as", "output"),
        (ended(1), b"/.securecc/tmp/x.s: No space left on device", "output"),
        (ended(1), b"cc1plus: out of memory allocating 65536 bytes", "memory"),
        (ended(1), b"gcc: fatal error: cannot execute 'as': vfork: Resource temporarily unavailable", "processes"),
    ],
)
def test_the_limit_shows_in_the_result_or_the_diagnostics(
    how: sandbox.SandboxResult, diagnostics: bytes, limit: LimitName
) -> None:
    assert sandbox.limit_from_diagnostics(how, diagnostics, JobLimits()) == limit

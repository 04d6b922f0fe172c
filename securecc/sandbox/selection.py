"""The installed programs that make sandboxes."""

from collections.abc import Callable

from securecc.model.errors import SandboxError
from securecc.sandbox import bubblewrap, jail, seccomp
from securecc.sandbox.bubblewrap import Bubblewrap
from securecc.sandbox.jail import Jail

SandboxProgram = Jail | Bubblewrap
Log = Callable[[str], None]


def installed(wanted: str, rules: bytes, log: Log) -> tuple[SandboxProgram, ...]:
    """Those that are installed, the preferred one first; `wanted` names the only one to use, empty for any. `rules` is
    the path of the system call filter, empty for none.

    Raises:
        SandboxError: none is installed.
    """
    if wanted == Jail.name:
        return (Jail(jail.find(), rules),)
    if wanted == Bubblewrap.name:
        return (_bubblewrap(rules, log),)
    try:
        first = Jail(jail.find(), rules)
    except SandboxError as error:
        log(f"using bubblewrap: {error}")
        return (_bubblewrap(rules, log),)
    try:
        return first, _bubblewrap(rules, log)
    except SandboxError:
        return (first,)


def syscall_filter(log: Log) -> bytes:
    """The system call filter; empty, with a line in the log, if it cannot be made."""
    try:
        return seccomp.program()
    except SandboxError as error:
        log(f"jobs run without a system call filter: {error}")
        return b""


def _bubblewrap(rules: bytes, log: Log) -> Bubblewrap:
    """Bubblewrap alone, with a line in the log, if ``securecc-confine`` is not installed."""
    program = bubblewrap.find()
    try:
        return Bubblewrap(program, rules, jail.find(jail.CONFINE))
    except SandboxError as error:
        log(f"bubblewrap's jobs run without Landlock: {error}")
        return Bubblewrap(program, rules)

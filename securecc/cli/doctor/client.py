"""Checks of this user's compiles: the settings in force, and what the servers say."""

import asyncio
import os
from collections.abc import Sequence

from securecc.client.doctor.checks import examine as diagnose
from securecc.client.state.settings import read_settings
from securecc.model.finding import Finding

DEFAULT = ("gcc",)


def examine(compilers: Sequence[str]) -> list[Finding]:
    """All findings. `compilers` are names or paths; if empty, those of the environment (CC, CXX), or gcc."""
    named = [word for name in ("CC", "CXX") if (word := _compiler(os.environ.get(name, "")))]
    wanted = tuple(dict.fromkeys(compilers or named or DEFAULT))
    settings = read_settings(os.environ, os.path.expanduser("~"))
    return asyncio.run(diagnose(settings, wanted))


def _compiler(command: str) -> str:
    """The compiler in a command as make is given it: ``securecc gcc -m32``, ``ccache gcc``."""
    words = [word for word in command.split() if os.path.basename(word) not in ("securecc", "ccache")]
    return words[0] if words else ""

"""The site's patterns of secrets, for what a client records: ``/etc/securecc/redact``, one pattern per line."""

import os
from pathlib import Path
from typing import Final

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.redaction import Redaction

SITE: Final = Path("/etc/securecc/redact")

_EVERYTHING = ".+"
_CONSEQUENCE = "until this is corrected, nothing of commands is recorded"


def read_patterns(path: Path = SITE) -> tuple[Redaction, str]:
    """The patterns in a file, and what is wrong with it (empty: nothing). Lines that begin with ``#`` are comments.

    A file with errors redacts everything, since what it was meant to redact is unknown. Never raises.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            data = file.read(limits.SETTINGS_FILE + 1) or b""
    except FileNotFoundError:
        return Redaction(), ""
    except OSError as error:
        return Redaction([_EVERYTHING]), f"{path}: {error.strerror}; {_CONSEQUENCE}"
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip() and not line.startswith("#")]
    if len(data) > limits.SETTINGS_FILE or len(lines) > limits.AUDIT_PATTERNS:
        says = f"{path}: over {limits.AUDIT_PATTERNS} patterns: join some with |; {_CONSEQUENCE}"
        return Redaction([_EVERYTHING]), says
    try:
        return Redaction(lines), ""
    except ConfigError as error:
        return Redaction([_EVERYTHING]), f"{path}: {error}; {_CONSEQUENCE}"

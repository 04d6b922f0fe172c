"""The log of the runner's processes: standard error, which the service manager collects."""

import sys

from securecc.model import limits
from securecc.model.printable import plain


def log(line: str, process: str = "runner") -> None:
    """One line, without control characters, cut to the length of an audit text."""
    sys.stderr.write(f"securecc {process}: {plain(line[: limits.AUDIT_TEXT])}\n")
    sys.stderr.flush()

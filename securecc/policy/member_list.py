"""A group's file: one principal per line, as version control or a directory service exports it. ``#`` begins a
comment.
"""

import re

from securecc.config_file.yaml_nodes import Place
from securecc.model import limits
from securecc.model.errors import AuthenticationError, PolicyError
from securecc.model.principal import Principal

_COMMENT = re.compile(rb"(?:^|[ \t])#.*", re.DOTALL)


def read_members(data: bytes, name: str) -> frozenset[Principal]:
    """The principals in a file's bytes; `name` is the file's in errors.

    Raises:
        PolicyError: the file is too long, or a line is not a principal; names the line.
    """
    if len(data) > limits.GROUP_FILE:
        raise PolicyError(f"{name}: {len(data)} bytes; the limit is {limits.GROUP_FILE}")
    lines = enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1)
    wanted = ((number, _COMMENT.sub(b"", line).strip()) for number, line in lines)
    return frozenset(_principal(line, Place(name, number, 1)) for number, line in wanted if line)


def _principal(line: bytes, place: Place) -> Principal:
    if b"*" in line.replace(b"\\*", b""):
        raise place.error("a pattern in a group's file", "write patterns under principals: in the policy")
    if re.search(rb"(?<!\\)[ \t]", line):
        raise place.error("more than one word", "write one principal per line, nothing else; # begins a comment")
    try:
        return Principal.parse(line)
    except AuthenticationError as error:
        raise place.error(error.message, error.advice) from error

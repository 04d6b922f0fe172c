"""The witness: a library in front of the C library of each program of a job (`securecc/sandbox/witness`), which writes
down what the program asks of its surroundings.
"""

import os
import sys

NAME = "securecc-witness.so"
_DIRECTORIES = (os.path.join(sys.prefix, "lib", "securecc"), "/usr/local/lib/securecc", "/usr/lib/securecc")


def find() -> bytes:
    """The path of the library: beside this interpreter, or where libraries are installed; empty if there is none."""
    for directory in _DIRECTORIES:
        path = os.path.join(directory, NAME)
        if os.path.isfile(path):
            return os.fsencode(path)
    return b""

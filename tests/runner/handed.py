"""Becomes a command that a service manager has given a socket: `python handed.py DESCRIPTOR COMMAND...`.

As systemd-socket-activate does, for a socket that listens already.
"""

import os
import sys

FIRST = 3

if __name__ == "__main__":
    given = int(sys.argv[1])
    if given != FIRST:
        os.dup2(given, FIRST)
    os.set_inheritable(FIRST, True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    os.execv(sys.argv[2], sys.argv[2:])

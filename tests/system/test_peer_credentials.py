"""The kernel says who is at the other end of a Unix socket."""

import os
import socket

import pytest

from securecc.system.peer_credentials import PeerCredentials, peer_credentials


def test_our_own_process() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_credentials(ours) == PeerCredentials(os.getpid(), os.getuid(), os.getgid())


def test_a_closed_socket() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        peer_credentials(ours)

import socket

from securecc.channel.tcp_options import tune
from securecc.model import limits


def test_small_frames_go_at_once_and_a_peer_that_is_gone_is_found() -> None:
    with socket.socket() as sock:
        tune(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == limits.HEARTBEAT_LOST_S * 1000


def test_what_is_no_tcp_is_left_alone() -> None:
    tune(None)
    with socket.socket(socket.AF_UNIX) as sock:
        tune(sock)

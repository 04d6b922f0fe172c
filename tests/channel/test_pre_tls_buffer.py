from securecc.channel.pre_tls_buffer import PreTlsBuffer


def test_bytes_are_kept_and_none_are_answered() -> None:
    some = PreTlsBuffer()
    for part in (b"PRO", b"XY"):
        some.feed(memoryview(part))
        assert some.take_incoming() == some.take_outgoing() == b""
        some.shut()
    assert some.data == b"PROXY"
    assert not some.secured
    assert not some.closed

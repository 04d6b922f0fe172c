"""securecc.client.farm.received_result: what comes back is cut as announced, and its digests are of what came."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.farm.received_result import ResultReceiver
from securecc.model import limits
from securecc.model.errors import ProtocolError
from securecc.model.manifest import digest
from securecc.model.messages import Output
from tests.client.farm_stub import result


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=20), max_size=4),
    st.binary(max_size=9),
    st.binary(max_size=9),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_a_result_is_cut_where_it_says(contents: list[bytes], stdout: bytes, stderr: bytes, cuts: list[int]) -> None:
    listed = [Output(b"/%d" % number, len(content), 0o644, bytes(32)) for number, content in enumerate(contents)]
    receiver = ResultReceiver(result(1, len(stdout), len(stderr), listed))
    whole = stdout + stderr + b"".join(contents)
    at = 0
    while at < len(whole):
        assert not receiver.complete
        receiver.take(whole[at : at + cuts[0]])
        at += cuts[0]
        cuts = [*cuts[1:], cuts[0]]
    assert receiver.complete
    found = receiver.received()
    assert (found.stdout.read(), found.stderr.read(), found.size) == (stdout, stderr, len(whole))
    assert [output.content.read() for output in found.outputs] == contents
    assert [output.digest for output in found.outputs] == [digest(content) for content in contents]
    with pytest.raises(ProtocolError, match="more bytes"):
        receiver.take(b"x")


def test_a_result_over_the_limit_is_none() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        ResultReceiver(result(1, limits.RESULT + 1))

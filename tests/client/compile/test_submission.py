"""securecc.client.compile.submission: what comes back is cut as announced; the exchange itself is in test_compile."""

from hypothesis import given, settings
from hypothesis import strategies as st

from securecc.client.compile.submission import _split
from securecc.model.manifest import digest
from securecc.model.messages import Output
from tests.client.farm_stub import result


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=4), st.binary(max_size=9), st.binary(max_size=9))
def test_a_result_is_cut_where_it_says(contents, stdout, stderr):
    listed = [Output(b"/%d" % number, len(content), 0o644, digest(content)) for number, content in enumerate(contents)]
    answer = result(1, len(stdout), len(stderr), listed)
    found = _split(answer, stdout + stderr + b"".join(contents), "farm1", 0)
    assert (found.stdout, found.stderr) == (stdout, stderr)
    assert [content for _, content in found.files] == contents

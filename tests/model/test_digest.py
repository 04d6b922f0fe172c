"""securecc.model.digest against hashlib."""

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from securecc.model.digest import sha256, sha256_of_file


@given(st.lists(st.binary(max_size=300)))
def test_parts_count_as_one(parts: list[bytes]) -> None:
    assert sha256(*parts) == hashlib.sha256(b"".join(parts)).digest()


def test_a_file_from_where_it_stands() -> None:
    content = bytes(range(256)) * 5000
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    assert sha256_of_file(file) == sha256(content)

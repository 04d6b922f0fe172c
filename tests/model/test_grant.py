"""What a grant covers."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from securecc.model.grant import Grant

GRANT = Grant(principal="alice@EXAMPLE.COM", rule="committers", revision="r1")


@given(st.lists(st.text("gc*?-12", max_size=6)), st.text("gc-12", max_size=6))
def test_a_grant_covers_what_one_of_its_patterns_matches(patterns: list[str], name: str) -> None:
    grant = replace(GRANT, toolchains=tuple(patterns))
    assert replace(grant, toolchains=(*patterns, name)).covers(name)
    assert replace(grant, toolchains=(*patterns, "*")).covers(name)
    if not patterns:
        assert not grant.covers(name)

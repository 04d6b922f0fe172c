from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import AuthenticationError
from securecc.model.principal import Principal, PrincipalPattern

PARTS = st.binary(min_size=1, max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
PRINCIPALS = st.builds(Principal, st.lists(PARTS, min_size=1, max_size=4).map(tuple), PARTS)


def matches(pattern: Any, name: Any) -> Any:
    return PrincipalPattern.parse(pattern).matches(Principal.parse(name))


def _parsed(name: bytes) -> Principal | bytes:
    try:
        return Principal.parse(name)
    except AuthenticationError:
        return name


class TestParse:
    @pytest.mark.parametrize(
        ("name", "components", "realm"),
        [
            (b"alice@EXAMPLE.COM", ("alice",), "EXAMPLE.COM"),
            (b"alice/admin@EXAMPLE.COM", ("alice", "admin"), "EXAMPLE.COM"),
            (rb"alice\/admin@EXAMPLE.COM", ("alice/admin",), "EXAMPLE.COM"),
            (rb"alice\@corp@EXAMPLE.COM", ("alice@corp",), "EXAMPLE.COM"),
            (rb"a\n\t\b\0\\z@EXAMPLE.COM", ("a\n\t\b\0\\z",), "EXAMPLE.COM"),
            (rb"two\ words@EXAMPLE.COM", ("two words",), "EXAMPLE.COM"),
            (b"two words@EXAMPLE.COM", ("two words",), "EXAMPLE.COM"),
            ("j\u00f6rg@EXAMPLE.COM".encode(), ("j\u00f6rg",), "EXAMPLE.COM"),
            (b"j\xf6rg@EXAMPLE.COM", ("j\udcf6rg",), "EXAMPLE.COM"),
            (rb"a@REALM\/B", ("a",), "REALM/B"),
            (b"*@EXAMPLE.COM", ("*",), "EXAMPLE.COM"),
        ],
    )
    def test_reads_what_kerberos_writes(self, name: Any, components: Any, realm: Any) -> None:
        principal = Principal.parse(name)
        assert principal == Principal(components, realm)
        assert Principal.parse(principal.unparse()) == principal

    @pytest.mark.parametrize(
        "name",
        [
            b"",
            b"alice",
            b"@",
            b"alice@",
            b"@EXAMPLE.COM",
            b"/alice@EXAMPLE.COM",
            b"alice/@EXAMPLE.COM",
            b"alice//x@EXAMPLE.COM",
            b"alice@EXAMPLE.COM@OTHER.ORG",
            b"alice@EXAMPLE.COM/x",
            b"alice\0@EXAMPLE.COM",
            b"alice@EXAMPLE.COM\0",
            b"alice@EXAMPLE.COM\n",
            b"alice\\",
            b"alice@EXAMPLE.COM\\",
            rb"al\qice@EXAMPLE.COM",
            rb"al\x4@EXAMPLE.COM",
            rb"al\x4z@EXAMPLE.COM",
            b"a" * limits.PRINCIPAL + b"@EXAMPLE.COM",
            "a\ud800@EXAMPLE.COM",
        ],
    )
    def test_refuses_the_rest(self, name: Any) -> None:
        with pytest.raises(AuthenticationError):
            Principal.parse(name)

    def test_a_name_has_one_decoding(self) -> None:
        with pytest.raises(AuthenticationError):
            Principal(("\udcc3\udca4",), "EXAMPLE.COM")

    @given(st.binary(max_size=60))
    def test_parses_or_raises_one_error(self, name: Any) -> None:
        try:
            principal = Principal.parse(name)
        except AuthenticationError:
            return
        assert Principal.parse(principal.unparse()) == principal


class TestShown:
    @given(PRINCIPALS)
    def test_both_spellings_read_back_as_the_same(self, principal: Any) -> None:
        assert Principal.parse(principal.unparse()) == principal
        assert Principal.parse(str(principal)) == principal

    @given(PRINCIPALS)
    def test_is_one_printable_line(self, principal: Any) -> None:
        assert str(principal).isprintable()

    @given(PRINCIPALS)
    def test_what_kerberos_gives_is_shown_alike(self, principal: Principal) -> None:
        assert Principal.display(principal.unparse()) == str(principal)

    @given(st.binary(max_size=40), st.binary(max_size=40))
    def test_different_names_are_never_shown_alike(self, one: bytes, other: bytes) -> None:
        assert Principal.display(one).isprintable()
        same = _parsed(one) == _parsed(other)
        assert (Principal.display(one) == Principal.display(other)) is same

    @pytest.mark.parametrize(
        ("name", "shown"), [(b"a@B@C", r"a\x40B\x40C"), (b"alice", "alice"), (b"a\n@R", r"a\x0a\x40R")]
    )
    def test_what_is_no_principal_never_looks_like_one(self, name: bytes, shown: str) -> None:
        assert Principal.display(name) == shown

    def test_hides_no_terminal_sequence(self) -> None:
        assert str(Principal.parse(b"a\x1b[2J\r\xff@EXAMPLE.COM")) == r"a\x1b[2J\x0d\xff@EXAMPLE.COM"
        assert str(Principal.parse(rb"a\nb\/c@EXAMPLE.COM")) == r"a\nb\/c@EXAMPLE.COM"


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "name"),
        [
            ("alice@EXAMPLE.COM", "alice@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", "alice@EXAMPLE.COM"),
            ("*/ci@EXAMPLE.COM", "web/ci@EXAMPLE.COM"),
            ("build-*/ci@EXAMPLE.COM", "build-7/ci@EXAMPLE.COM"),
            ("b*d*7@EXAMPLE.COM", "build-7@EXAMPLE.COM"),
            ("host/*.example.com@EXAMPLE.COM", "host/b1.example.com@EXAMPLE.COM"),
            (r"\*@EXAMPLE.COM", b"*@EXAMPLE.COM"),
            ("WELLKNOWN/ANONYMOUS@EXAMPLE.COM", "WELLKNOWN/ANONYMOUS@EXAMPLE.COM"),
            (r"j\xf6rg@EXAMPLE.COM", b"j\xf6rg@EXAMPLE.COM"),
        ],
    )
    def test_means(self, pattern: Any, name: Any) -> None:
        assert matches(pattern, name)

    @pytest.mark.parametrize(
        ("pattern", "name"),
        [
            ("alice@EXAMPLE.COM", "alice@OTHER.ORG"),
            ("alice@EXAMPLE.COM", "alice@example.com"),
            ("alice@EXAMPLE.COM", "alice@EXAMPLE.COM.OTHER.ORG"),
            ("alice@EXAMPLE.COM", "Alice@EXAMPLE.COM"),
            ("alice@EXAMPLE.COM", "alice/admin@EXAMPLE.COM"),
            ("alice@EXAMPLE.COM", rb"alice\@EXAMPLE.COM@OTHER.ORG"),
            ("alice@EXAMPLE.COM", rb"alice\0@EXAMPLE.COM"),
            ("alice@EXAMPLE.COM", rb"alice\n@EXAMPLE.COM"),
            ("alice/admin@EXAMPLE.COM", rb"alice\/admin@EXAMPLE.COM"),
            (r"j\xf6rg@EXAMPLE.COM", "j\u00f6rg@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", "alice/admin@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", rb"alice\/admin@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", rb"alice\@corp@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", rb"alice\0@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", rb"alice\n@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", b"j\xf6rg@EXAMPLE.COM"),
            ("*@EXAMPLE.COM", "alice@OTHER.ORG"),
            ("*/*@EXAMPLE.COM", "WELLKNOWN/ANONYMOUS@EXAMPLE.COM"),
            ("*/ci@EXAMPLE.COM", "ci@EXAMPLE.COM"),
            ("*/ci@EXAMPLE.COM", "a/b/ci@EXAMPLE.COM"),
            ("*/ci@EXAMPLE.COM", rb"a\/ci@EXAMPLE.COM"),
            ("ab*ba@EXAMPLE.COM", "aba@EXAMPLE.COM"),
            ("a*b*c*d@EXAMPLE.COM", "abd@EXAMPLE.COM"),
            (r"\*@EXAMPLE.COM", "alice@EXAMPLE.COM"),
        ],
    )
    def test_does_not_mean(self, pattern: Any, name: Any) -> None:
        assert not matches(pattern, name)

    @pytest.mark.parametrize(
        "pattern",
        ["", "*", "alice", "alice@", "*@*", "alice@*.COM", r"alice@\*", "@EXAMPLE.COM", "/a@EXAMPLE.COM", "a//b@X"],
    )
    def test_refuses(self, pattern: Any) -> None:
        with pytest.raises(AuthenticationError):
            PrincipalPattern.parse(pattern)

    def test_many_stars_cost_little(self) -> None:
        assert not matches("*a" * 200 + "b@X", "a" * 900 + "@X")

    def test_exact(self) -> None:
        assert PrincipalPattern.parse("alice@EXAMPLE.COM").exact
        assert PrincipalPattern.parse("alice/x@EXAMPLE.COM").principal == Principal(("alice", "x"), "EXAMPLE.COM")
        assert not PrincipalPattern.parse("a*@EXAMPLE.COM").exact

    @given(PRINCIPALS)
    def test_a_literal_pattern_means_its_principal_alone(self, principal: Any) -> None:
        try:
            pattern = PrincipalPattern.parse(str(principal).replace("*", r"\*"))
        except AuthenticationError:
            assert "*" in principal.realm
            return
        assert pattern.exact
        assert pattern.matches(principal)
        assert PrincipalPattern.parse(str(pattern)) == pattern

    @given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=8))
    def test_a_star_is_any_text(self, pattern: Any, name: Any) -> None:
        import re

        wanted = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None
        assert matches(f"{pattern}@X", f"{name}@X") == wanted

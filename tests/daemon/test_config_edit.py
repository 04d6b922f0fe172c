"""A compiler more in a configuration."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securecc.daemon.config_edit import add_compiler
from securecc.daemon.settings import parse_settings
from securecc.model.errors import ConfigError

FILE = Path("/etc/securecc/config.yaml")
REST = "# mine\nkeytab: k\npolicy: p\naudit: a\nstate: s\nscratch: c\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "toolchains: [/usr/bin/gcc, /usr/bin/clang]\n"),
        ("toolchains: [/a]\n", "toolchains: [/a, /usr/bin/clang]\n"),
        ("toolchains: [/a, '/b', ]  # two\n", "toolchains: [/a, '/b', /usr/bin/clang]  # two\n"),
        ("toolchains:\n- /a\nport: 1\n", "toolchains:\n- /a\n- /usr/bin/clang\nport: 1\n"),
        ("toolchains:\n  - /a # first\n\n  - /b", "toolchains:\n  - /a # first\n\n  - /b\n  - /usr/bin/clang\n"),
        ("toolchains: [/usr/bin/clang]\n", "toolchains: [/usr/bin/clang]\n"),
    ],
)
def test_all_ways_to_write_a_list(before: str, after: str) -> None:
    assert add_compiler(REST + before, "/usr/bin/clang", FILE) == REST + after


@pytest.mark.parametrize("text", ["toolchains: [/a,\n  /b]\n", '"toolchains": [/a]\n', "toolchains:\n [/a]\n"])
def test_what_is_written_otherwise_is_for_a_person(text: str) -> None:
    with pytest.raises(ConfigError, match=r"by hand.*add /usr/bin/clang"):
        add_compiler(REST + text, "/usr/bin/clang", FILE)


def test_what_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        add_compiler("nonsense: 1\n", "/usr/bin/clang", FILE)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20), st.sampled_from(["", "[/a]"]))
def test_any_path_is_added_as_it_is_or_not_at_all(name: str, there: str) -> None:
    before = REST + (f"toolchains: {there}\n" if there else "")
    try:
        after = add_compiler(before, "/" + name, FILE)
    except ConfigError:
        return
    assert parse_settings(after.encode(), "x", FILE.parent).toolchains[-1] == Path("/" + name)

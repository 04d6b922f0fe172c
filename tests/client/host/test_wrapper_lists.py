"""Where the lists of scripts lie."""

import os
from pathlib import Path

import pytest

from securecc.client.host.wrapper_lists import default_paths, vouch, vouched
from securecc.client.state.settings import SITE
from securecc.model.errors import ConfigError
from securecc.model.manifest import digest

ONE, OTHER = digest(b"1"), digest(b"2")


def test_the_users_list_and_the_sites() -> None:
    assert default_paths({"XDG_CONFIG_HOME": "/c"}) == (Path("/c/securecc/wrappers"), SITE / "wrappers")
    assert default_paths({"HOME": "/h", "XDG_CONFIG_HOME": "c"})[0] == Path("/h/.config/securecc/wrappers")
    assert default_paths({})[0].is_absolute()


def test_what_is_vouched_for_is_listed(tmp_path: Path) -> None:
    mine, site = tmp_path / "new" / "wrappers", tmp_path / "site"
    assert vouched((mine, site, tmp_path)) == frozenset()
    vouch(mine, b"/opt/site/bin/gcc\nx", ONE)
    vouch(mine, b"/opt/site/bin/g++", OTHER)
    assert vouched((mine, site)) == {ONE, OTHER}
    assert mine.read_bytes().splitlines()[0] == ONE.hex().encode() + b"  /opt/site/bin/gcc?x"


def test_a_list_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "wrappers").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        vouch(tmp_path / "wrappers", os.fsencode(tmp_path), ONE)

"""Values of files that change while the daemon runs."""

import logging
from pathlib import Path

import pytest

from securecc.daemon.reloadable import Reloadable
from securecc.model.errors import ConfigError


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("one", "two")]
    for path in found:
        path.write_text("first")
    return found


def pair(paths: list[Path]) -> str | None:
    words = {path.read_text() for path in paths if path.exists()}
    if len(words) != 1:
        raise ConfigError("they do not belong together")
    return words.pop()


def test_changed_files_take_over_once_they_are_good(paths: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="securecc")
    some = Reloadable("pair", paths, lambda: pair(paths))
    some.refresh()
    assert (some.value, caplog.text) == ("first", "")
    paths[0].write_text("second")
    for _ in range(2):
        some.refresh()
    assert some.value == "first"
    assert caplog.text.count("the new pair cannot be used, the old one stays in use: they do not belong together") == 1
    paths[1].write_text("second")
    some.refresh()
    assert some.value == "second"
    assert "pair reloaded" in caplog.text
    for path in paths:
        path.unlink()
    some.refresh()
    assert some.value == "second"


def test_bad_files_give_no_first_value(paths: list[Path]) -> None:
    paths[0].write_text("other")
    with pytest.raises(ConfigError):
        Reloadable("pair", paths, lambda: pair(paths))

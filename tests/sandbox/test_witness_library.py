"""Where the witness is."""

import os
from pathlib import Path

import pytest

from securecc.sandbox import witness_library


def test_it_is_installed_beside_the_programs() -> None:
    assert os.path.basename(witness_library.find()) == witness_library.NAME.encode()


def test_without_one_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(witness_library, "_DIRECTORIES", (str(tmp_path),))
    assert witness_library.find() == b""

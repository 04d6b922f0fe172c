"""Which locales there are, by libc's own word."""

import os

import pytest

from securecc.client import locales
from securecc.client.locales import of_this_machine


@pytest.fixture(autouse=True)
def _forget():
    locales._available.cache_clear()
    locales._translated.cache_clear()


@pytest.mark.parametrize(
    ("name", "there"), [(b"C", True), (b"C.UTF-8", True), (b"POSIX", True), (b"xx_YY.UTF-8", False)]
)
def test_locales_are_there_as_libc_says(name, there):
    assert of_this_machine().available(name) is there


def test_a_catalogue_of_the_compilers_makes_a_language(tmp_path, monkeypatch):
    monkeypatch.setattr(locales, "_CATALOGUES", os.fsencode(tmp_path))
    for language, name in (("de", "gcc-12.mo"), ("fr", "bash.mo"), ("it", "gcc.po")):
        (tmp_path / language / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / language / "LC_MESSAGES" / name).touch()
    translated = of_this_machine().translated
    assert [translated(language) for language in (b"de", b"fr", b"it", b"es")] == [True, False, False, False]

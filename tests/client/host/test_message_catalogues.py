"""Which locales there are, by libc's own word, and what compilers say in them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securecc.client.host import message_catalogues
from securecc.client.host.message_catalogues import SYSTEM_ERRORS, MessageCatalogues, locale_exists
from securecc.compiler.command_line.environment import EffectiveLocale
from securecc.compiler.toolchain import catalogue_files
from securecc.model.errors import StaysLocal
from tests.client.compile.test_invocation import CLOSURE

GERMAN = {b"LC_ALL": b"C.UTF-8", b"LANGUAGE": b"de"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(catalogue_files, "SYSTEM", os.fsencode(tmp_path))
    monkeypatch.setattr(message_catalogues, "LOCALE_ALIASES", os.fsencode(tmp_path / "locale.alias"))
    return tmp_path


def put(place: Path, language: str, name: Any) -> None:
    (place / language / "LC_MESSAGES").mkdir(parents=True, exist_ok=True)
    (place / language / "LC_MESSAGES" / name).touch()


@pytest.mark.parametrize(
    ("name", "there"), [(b"C", True), (b"C.UTF-8", True), (b"POSIX", True), (b"xx_YY.UTF-8", False)]
)
def test_locales_are_there_as_libc_says(name: Any, there: bool) -> None:
    assert locale_exists(name) is there


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("gcc-12.mo", (b"de",)),
        ("gas.mo", (b"de",)),
        ("gcc-11.mo", ()),
        ("bash.mo", ()),
        ("gcc.po", ()),
        ("libc.mo", ()),
    ],
)
def test_a_catalogue_of_the_compilers_makes_a_language(place: Path, name: Any, languages: tuple[bytes, ...]) -> None:
    put(place, "de", name)
    catalogues = MessageCatalogues()
    locale = catalogues.locale(CLOSURE, GERMAN)
    assert locale == EffectiveLocale(b"C.UTF-8", languages, system=name == "libc.mo")
    read = catalogues.files(CLOSURE, locale)
    assert (os.fsencode(place / "de/LC_MESSAGES" / name) in read) == bool(languages)
    assert all(path.startswith(os.fsencode(place / "de/LC_MESSAGES/")) for path in read)


def test_clang_heeds_no_locale(place: Path) -> None:
    put(place, "de", "gcc-12.mo")
    assert MessageCatalogues().locale(
        replace(CLOSURE, family="clang"), {b"LC_ALL": b"de_DE.ISO-8859-1"}
    ) == EffectiveLocale(b"C")


def test_new_catalogues_are_seen_in_a_while(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogues = MessageCatalogues()
    assert catalogues.locale(CLOSURE, GERMAN).languages == ()
    put(place, "de", "gcc-12.mo")
    assert catalogues.locale(CLOSURE, GERMAN).languages == ()
    monkeypatch.setattr(message_catalogues, "POLL_S", 0.0)
    assert catalogues.locale(CLOSURE, GERMAN).languages == (b"de",)


def test_ways_to_set_a_locale_are_not_remembered_for_ever(place: Path) -> None:
    catalogues = MessageCatalogues(most=3)
    for number in range(10):
        catalogues.locale(CLOSURE, {b"LANG": b"xx%d" % number})
        assert len(catalogues) <= 3


def test_a_name_for_another_locale_stays_local(place: Path) -> None:
    put(place, "de", "gcc-12.mo")
    (place / "locale.alias").write_text("# names\n\nDE de_DE.ISO-8859-1\n")
    with pytest.raises(StaysLocal):
        MessageCatalogues().locale(CLOSURE, GERMAN)


def test_what_the_system_says_of_errors() -> None:
    assert {b"No such file or directory", b"Not a directory"} <= SYSTEM_ERRORS
    assert b"Success" not in SYSTEM_ERRORS

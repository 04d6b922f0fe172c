"""securecc.client.inputs.has_include: what files ask for by each other's macros."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pytest

from securecc.client.inputs.caches.file_cache import FileCache, FileFacts
from securecc.client.inputs.has_include import HasIncludeQueries
from securecc.model.errors import StaysLocal

MACRO = "#define HAS(x) __has_include(x)\n"


class Ask(Protocol):
    def __call__(self, *texts: str, given: Iterable[bytes] = ()) -> frozenset[bytes]:
        """Writes these texts to files, and says what they ask for."""


@pytest.fixture
def asked(tmp_path: Path) -> Ask:
    cache = FileCache()
    queries = HasIncludeQueries(cache, most=4)

    def ask(*texts: str, given: Iterable[bytes] = ()) -> frozenset[bytes]:
        files = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.h"
            path.write_text(text)
            files.append(cache.facts(os.fsencode(path)))
        return queries.names(files, given)

    return ask


def test_without_such_a_macro_nothing_is_read(asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileCache, "content", None)
    assert asked("#if __has_include(<x.h>)\n", "#if HAS(<y.h>)\n") == frozenset()


def test_one_file_asks_by_the_macro_of_another(asked: Ask) -> None:
    assert asked(MACRO, '#if HAS(<a/y.h>) || HAS("z.h")\n') == {b"a/y.h", b"z.h"}


def test_a_word_that_is_a_macro_is_both(asked: Ask) -> None:
    assert asked(MACRO, "#if HAS(<a.h>)\n", "#define a b\n", "#define b c\n") == {b"a.h", b"b.h", b"c.h"}


@pytest.mark.parametrize(
    ("texts", "given"),
    [
        ((MACRO, "#if HAS(NAME)\n"), ()),
        ((MACRO, "#if HAS(<a.h>)\n", "#define a b c\n"), ()),
        ((MACRO, "#if HAS(<a.h>)\n", "#define a linux\n"), ()),
        ((MACRO, "#if HAS(<a.h>)\n"), (b"Da=b",)),
        ((MACRO, "#if HAS(<linux/a.h>)\n"), ()),
        ((MACRO,), (b"DMINE=HAS",)),
    ],
)
def test_what_may_ask_for_more_stays_local(asked: Ask, texts: tuple[str, ...], given: tuple[bytes, ...]) -> None:
    with pytest.raises(StaysLocal) as local:
        asked(*texts, given=given)
    assert local.value.reason == "computed-question"


def test_a_file_is_read_once_for_it_and_no_more_is_kept_than_may_be(
    asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    content = FileCache.content

    def noted(self: FileCache, file: FileFacts) -> bytes:
        read.append(file.path)
        return content(self, file)

    monkeypatch.setattr(FileCache, "content", noted)
    for _ in range(2):
        asked(MACRO, "#if HAS(<y.h>)\n")
    assert len(read) == 4  # each for its uses, and for what it makes of words
    asked(MACRO, "#if HAS(<z.h>)\n")
    asked(MACRO, "#if HAS(<y.h>)\n")
    assert len(read) > 6


def test_a_file_that_has_changed_stays_local(asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = FileCache.facts

    def late(self: FileCache, path: bytes) -> FileFacts:
        seen = facts(self, path)
        with open(path, "ab") as file:
            file.write(b"more")
        return seen

    monkeypatch.setattr(FileCache, "facts", late)
    with pytest.raises(StaysLocal, match="changed"):
        asked(MACRO)

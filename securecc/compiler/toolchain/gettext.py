"""Names of languages as gettext(3) spells them, and the directories in which it looks for their catalogues."""

import re
from itertools import product

_LANGUAGE = re.compile(rb"([a-z]{2,3})(_[A-Z]{2,3})?(\.[A-Za-z0-9-]{1,20})?(@[a-z]{1,20})?")
_NO_LETTER = re.compile(rb"[^a-z0-9]")


def spellings(language: bytes) -> tuple[bytes, ...]:
    """The folders that gettext searches for a language such as ``de_AT.UTF-8`` (glibc: _nl_make_l10nflist)."""
    match = _LANGUAGE.fullmatch(language)
    if match is None:
        return (language,)
    name, territory, codeset, modifier = (part or b"" for part in match.groups())
    plain = _NO_LETTER.sub(b"", codeset.lower())
    codesets = (codeset, b"." + (b"iso" if plain.isdigit() else b"") + plain, b"") if codeset else (b"",)
    parts = product((name,), dict.fromkeys((territory, b"")), codesets, dict.fromkeys((modifier, b"")))
    return tuple(dict.fromkeys(map(b"".join, parts)))


def is_language(name: bytes) -> bool:
    """Whether a name is that of a language, so that it cannot be a path."""
    return _LANGUAGE.fullmatch(name) is not None

"""What a text may make the assembler read: ``.include`` and ``.incbin`` (GNU as manual, "Include", "Incbin").

In C the text is in strings, with their escapes. A directive that is written out names its file; one that could be
assembled (by C or assembler macros, from pieces of strings) is only known to be possible, and then any word may be the
name.
"""

import re

_NAMED = re.compile(
    rb'\.(?P<how>incbin|include)[ \t]+(?P<quote>\\?")(?P<name>[^"\\\n\0%{|}]+)(?P=quote)', re.IGNORECASE
)
# A string that ends up in an asm: the directive itself, its beginning (the rest may be pasted on), or the assembler's
# means to build directives. In lower case.
_BEGINS = re.compile(rb"\.(?:inc|macro|irp|altmacro|rept)")
_BEGINS_ITSELF = re.compile(rb"\.(?:inc|altmacro)")
_FILE_NAME = re.compile(rb"(?:\A|[^\\])\w\Z")  # right before the dot: table.inc, but not \\t.inc
_JOINT = re.compile(rb'"\s*(?:u8|[lu])?"')
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-f]+))")
_MACRO = re.compile(rb"\.(?:macro|irp)")
_ARGUMENT_IN_DIRECTIVE = re.compile(rb"\.(?:i[a-z]*)?\\|(?:^|[;:{])[ \t]*\\\w+(?:\\|[a-z.])", re.MULTILINE)
_READS = re.compile(rb"\.inc")
_WORD = re.compile(rb"""[^\s\0"'\\,;()<>\[\]{}|=:&*?!$]+""")
_STRING = re.compile(rb'"([^"\\\n\0]+)"')
_UPWARDS = re.compile(rb"(?:\A|/)\.\./?\Z")
_PIECE = re.compile(rb"\b(?:inc|incb|incbi|incl|inclu|includ|ncbin|cbin|bin|nclude|clude|lude|ude)\b")


def named(text: bytes) -> tuple[bytes, ...]:
    """The files to be assembled that written-out directives name, each once."""
    return _named(text, b"include")


def embedded(text: bytes) -> tuple[bytes, ...]:
    """Those whose bytes are included as they are."""
    return _named(text, b"incbin")


def words(text: bytes) -> set[bytes]:
    """All that could be a file's whole name."""
    return {*_WORD.findall(text), *_STRING.findall(text)}


def leads_upwards(word: bytes) -> bool:
    """Whether a word could begin a name that leads out of the directory where it is looked for."""
    return _UPWARDS.search(word) is not None


def hidden_in_strings(text: bytes) -> bool:
    """Whether C may give the assembler another directive that reads a file, or the means to make one."""
    return _in_strings(text, _BEGINS)


def unnamed(text: bytes) -> bool:
    """Whether there is a directive, or the beginning of one, that names its file by anything but a plain string."""
    return _in_strings(text, _READS)


def hidden(text: bytes) -> bool:
    """Whether assembly may make another directive that reads a file, by a macro's argument or by pasting."""
    text = _NAMED.sub(b" ", text).lower()
    if _directs(text, _BEGINS_ITSELF):
        return True
    if b"##" in text and _PIECE.search(text):
        return True
    return _MACRO.search(text) is not None and _ARGUMENT_IN_DIRECTIVE.search(text) is not None


def _named(text: bytes, how: bytes) -> tuple[bytes, ...]:
    if b"inc" not in text and b"INC" not in text.upper():
        return ()
    return tuple(dict.fromkeys(match["name"] for match in _NAMED.finditer(text) if match["how"].lower() == how))


def _in_strings(text: bytes, beginning: re.Pattern[bytes]) -> bool:
    text = _NAMED.sub(b" ", text).lower() if b"inc" in text.lower() else text.lower()
    if _directs(text, beginning):
        return True
    if b"asm" not in text:
        return False
    if b"\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    return _directs(_JOINT.sub(b"", text), beginning)


def _directs(text: bytes, beginning: re.Pattern[bytes]) -> bool:
    if b"incbin" in text:
        return True
    found = beginning.finditer(text)
    return any(not _FILE_NAME.search(text[max(match.start() - 2, 0) : match.start()]) for match in found)


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 8) & 0xFF if match[1] else int(match[2][-2:], 16),))

"""Adds a compiler to the text of a config.yaml; comments and everything else stay."""

import json
import re
from dataclasses import replace
from pathlib import Path

from securecc.daemon.settings import parse_settings
from securecc.model.errors import ConfigError

_KEY = re.compile(r"^toolchains:[ \t]*(.*)$", re.MULTILINE)
_FLOW = re.compile(r"(\[.*?)([ \t]*,?[ \t]*)(\][ \t]*(?:#.*)?)")
_ITEM = re.compile(r"(?:[ \t]*(?:#.*)?\n)*([ \t]*)-[ \t]+.*(?:\n|\Z)")
_BARE = re.compile(r"/[A-Za-z0-9_./+-]*", re.ASCII)


def add_compiler(text: str, compiler: str, document: Path) -> str:
    """The text with `compiler` at the end of its `toolchains`; unchanged if it is there already.

    Raises:
        ConfigError: the text is not a configuration, or is laid out so that a person has to change it.
    """
    before = parse_settings(text.encode(), str(document), document.parent)
    if Path(compiler) in before.toolchains:
        return text
    after = _edited(text, compiler, [str(path) for path in before.toolchains])
    wanted = replace(before, toolchains=(*before.toolchains, Path(compiler)))
    if after is None or _settings(after, document) != wanted:
        raise ConfigError(f"{document} has to be changed by hand", f"add {_word(compiler)} to its `toolchains`")
    return after


def _edited(text: str, compiler: str, default: list[str]) -> str | None:
    key = _KEY.search(text)
    if key is None:
        end = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{end}toolchains: [{', '.join(map(_word, (*default, compiler)))}]\n"
    flow = _FLOW.fullmatch(key[1])
    if flow is not None:
        return f"{text[: key.start(1)]}{flow[1]}, {_word(compiler)}{flow[3]}{text[key.end(1) :]}"
    at, indent = key.end() + 1, None
    while (item := _ITEM.match(text, at)) is not None:
        at, indent = item.end(), item[1]
    if indent is None:
        return None
    end = "" if text[at - 1] == "\n" else "\n"
    return f"{text[:at]}{end}{indent}- {_word(compiler)}\n{text[at:]}"


def _settings(text: str, document: Path) -> object:
    try:
        return parse_settings(text.encode(), str(document), document.parent)
    except ConfigError:
        return None


def _word(compiler: str) -> str:
    return compiler if _BARE.fullmatch(compiler) else json.dumps(compiler)

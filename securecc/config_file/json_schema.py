"""The JSON schema of a document, for editors, made from the sections that read it."""

import json
from typing import Any

import msgspec
from msgspec import inspect

from securecc.config_file.section import Section
from securecc.config_file.words import WORD

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(section: type[Section], title: str, more: dict[str, Any] | None = None) -> str:
    """The schema of a document that is one `section`, as JSON text; `more` is added at the top level."""
    kinds = _sections(inspect.type_info(section), {})
    _, parts = msgspec.json.schema_components(tuple(kinds), schema_hook=lambda _: {}, ref_template="#/$defs/{name}")
    parts = {cls.__name__: _tidy(parts[cls.__name__], kind) for cls, kind in kinds.items()}
    whole = {"$schema": _DIALECT, "title": title, **parts.pop(section.__name__), **(more or {}), "$defs": parts}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _sections(kind: inspect.Type, found: dict[type, inspect.StructType]) -> dict[type, inspect.StructType]:
    """All sections below a type, each once."""
    match kind:
        case inspect.Metadata():
            _sections(kind.type, found)
        case inspect.UnionType():
            for each in kind.types:
                _sections(each, found)
        case inspect.VarTupleType():
            _sections(kind.item_type, found)
        case inspect.DictType():
            _sections(kind.value_type, found)
        case inspect.StructType() if kind.cls not in found:
            found[kind.cls] = kind
            for field in kind.fields:
                _sections(field.type, found)
    return found


def _tidy(part: dict[str, Any], kind: inspect.StructType) -> dict[str, Any]:
    """A section as it is written in a document: 10min rather than 600, and no empty defaults."""
    for field in kind.fields:
        described = _as_words(part["properties"][field.encode_name])
        default = described.pop("default", None)
        if default and not isinstance(default, dict):
            word = (field.type.extra or {}).get(WORD) if isinstance(field.type, inspect.Metadata) else None
            described["default"] = word.show(default) if word else default
    return {key: value for key, value in part.items() if key != "title" and value != []}


def _as_words(described: Any) -> Any:
    """To an editor, what a Word reads is text, whatever it is parsed into."""
    if isinstance(described, dict):
        if "pattern" in described:
            described["type"] = "string"
            described.pop("$ref", None)
        for each in described.values():
            _as_words(each)
    return described

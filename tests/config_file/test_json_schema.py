import json
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from securecc.config_file.json_schema import json_schema
from securecc.config_file.section import Section
from securecc.config_file.words import FilePath, Name, duration


class Inner(Section, frozen=True):
    """What is inside."""

    name: Annotated[Name, Meta(description="what it is called")]
    time: Annotated[float, duration(1, 60)] = 30.0
    file: FilePath = ""


class Document(Section, frozen=True, rename={"source": "from"}):
    """A document."""

    version: Literal[1]
    source: Annotated[int, Meta(ge=1, le=9)] = 2
    inner: Inner = Inner(name="a")
    more: Annotated[tuple[Inner, ...], Meta(min_length=1)] | UnsetType = UNSET


def schema() -> dict[str, Any]:
    return dict(json.loads(json_schema(Document, "a title", {"anyOf": [{"required": ["from"]}]})))


def test_a_document_is_described_by_its_section() -> None:
    found = schema()
    assert found["title"] == "a title"
    assert found["description"] == "A document."
    assert found["required"] == ["version"]
    assert found["additionalProperties"] is False
    assert found["anyOf"] == [{"required": ["from"]}]
    assert found["properties"]["from"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 2}
    assert found["properties"]["more"] == {"type": "array", "items": {"$ref": "#/$defs/Inner"}, "minItems": 1}


def test_what_a_word_becomes_is_text_to_an_editor() -> None:
    inner = schema()["$defs"]["Inner"]["properties"]
    assert (inner["time"]["type"], inner["time"]["default"]) == ("string", "30s")
    assert inner["name"]["description"] == "what it is called"


def test_defaults_that_say_nothing_are_left_out() -> None:
    found = schema()
    assert found["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert "default" not in found["$defs"]["Inner"]["properties"]["file"]

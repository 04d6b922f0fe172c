"""docs/protocol.md says what the code does."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from securecc.model import limits, messages
from securecc.wire import session
from securecc.wire.session import State

PAGE = (Path(__file__).parent.parent.parent / "docs" / "protocol.md").read_text()
KINDS: set[Any] = {kind for union in (messages.FromClient, messages.FromServer) for kind in get_args(union)}


def fields(cell: str) -> list[str]:
    """Field names of a table's cell: what stands before the colons, or bare names, outside of brackets."""
    bare = re.sub(r"\[[^\]]*\]|\{[^}]*\}", "x", cell)
    return [part.split(":")[0].strip() for part in bare.split(", ")]


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: kind.__name__)
def test_every_message_stands_in_a_table_with_its_fields_in_order(kind: Any) -> None:
    (row,) = re.findall(rf"^\| `{kind.__struct_config__.tag}` \| ([^|]*) \|", PAGE, re.MULTILINE)
    assert fields(row) == list(kind.__struct_fields__)


def table() -> dict[tuple[str, str], str]:
    """The transitions of the page's section 6."""
    section = PAGE.split("## 6. ")[1].split("## 7. ")[0]
    found, state = {}, ""
    for name, legal, then in re.findall(r"^\|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|$", section, re.MULTILINE):
        state = name.strip() or state
        for word in re.findall(r"[←→] (\w+)", legal):
            if word != "bulk":
                found[state.upper(), word] = then.split(";")[0].strip().upper()
    return found


def test_the_states_of_a_job_are_the_pages() -> None:
    ours = {(state.name, kind.__struct_config__.tag): then.name for (state, kind), then in session.TRANSITIONS.items()}
    theirs = {key: then for key, then in table().items() if key[0] in State.__members__}
    assert ours == theirs


def test_limits_that_the_page_names_exist() -> None:
    for name in re.findall(r"`([A-Z][A-Z_]{3,})`", PAGE):
        assert hasattr(limits, name) or name == "CAPITALS", name


def test_codes_of_a_refusal() -> None:
    for code in get_args(messages.RefuseCode) + get_args(messages.LimitName)[1:]:
        assert f"`{code}`" in PAGE


def test_every_limit_has_one_value() -> None:
    source = Path(limits.__file__).read_text()
    names = re.findall(r"^([A-Z_]+) =", source, re.MULTILINE)
    assert len(names) == len(set(names))

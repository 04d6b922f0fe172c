"""securecc.model.documentation: messages name pages that their reader can open."""

import re
from pathlib import Path

import pytest

from securecc.model.documentation import page

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("interpreter", "path"),
    [
        ("/usr/lib/securecc", "/usr/share/doc/securecc/sandbox.md"),
        ("/usr/local/lib/securecc", "/usr/local/share/doc/securecc/sandbox.md"),
        ("/home/alice/securecc/.venv", "docs/sandbox.md"),
        ("/usr", "docs/sandbox.md"),
    ],
)
def test_where_a_page_is(interpreter: str, path: str) -> None:
    assert page("sandbox.md", interpreter) == path


def test_every_page_that_a_message_names_exists() -> None:
    texts = [path.read_text() for path in (TOP / "securecc").rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"\bpage\([\"']([^\"']+)[\"']", text)}
    assert named
    assert not [name for name in named if not (TOP / "docs" / name).is_file()]

from pathlib import Path

from securecc.config_file.section import read_section
from securecc.config_file.yaml_nodes import compose
from securecc.daemon.config_document import ConfigDocument, config_schema

TOP = Path(__file__).parents[2]


def test_the_schema_is_what_the_sections_make() -> None:
    assert (TOP / "policy/config-schema.json").read_text() == config_schema(), "run tools/schemas"


def test_the_packaged_configuration_is_one() -> None:
    document = read_section(compose((TOP / "packaging/etc/config.yaml").read_bytes(), "config.yaml"), ConfigDocument)
    assert document.service == "securecc"

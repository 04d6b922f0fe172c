"""The ready-made policies and the schema for editors, held to what the reader takes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from securecc.model.principal import Principal
from securecc.policy.decision import decide
from securecc.policy.document.policy_document import policy_schema
from securecc.policy.loading import load
from securecc.policy.network import parse_address

FOLDER = Path(__file__).parents[2] / "policy"
SITES = sorted(FOLDER.glob("*.yaml"))
SCHEMA = json.loads((FOLDER / "schema.json").read_text())


def test_the_sites_are_there() -> None:
    assert {"example.yaml", "one-team.yaml", "university.yaml", "ci-keytab.yaml"} <= {each.name for each in SITES}


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.name)
class TestSite:
    def test_is_whole_and_without_warning(self, path: Path) -> None:
        loaded = load(path)
        assert loaded.warnings == ()
        assert len(loaded.policy.tests) >= 5

    def test_tests_every_rule(self, path: Path) -> None:
        policy = load(path).policy
        assert {rule.name for rule in policy.rules} <= {test.expect for test in policy.tests}

    def test_lets_no_stranger_in(self, path: Path) -> None:
        policy = load(path).policy
        for name in ("eve@EXAMPLE.COM", "alice@OTHER.ORG", "alice/root@EXAMPLE.COM", "alice@EXAMPLE.COM.OTHER.ORG"):
            assert not decide(policy, Principal.parse(name), parse_address("10.2.3.4"), (), {}).allowed

    def test_names_the_schema(self, path: Path) -> None:
        assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


def keys(part: str = "") -> set[str]:
    described = SCHEMA["$defs"][f"{part}Section"] if part else SCHEMA
    return set(described["properties"])


def test_the_schema_is_what_the_sections_make() -> None:
    assert (FOLDER / "schema.json").read_text() == policy_schema(), "run tools/schemas"


def test_the_example_shows_every_key() -> None:
    example = yaml.safe_load((FOLDER / "example.yaml").read_text())
    assert set(example) == keys()
    assert set(example["network"]) == keys("Network")
    assert set().union(*example["groups"].values()) == keys("Group")
    assert set().union(*example["rules"]) == keys("Rule")
    assert set(example["rules"][2]["limits"]) == keys("Limits")
    assert set(example["rules"][2]["quota"]) == keys("Quota")
    assert set().union(*example["tests"]) == keys("PolicyTest")


def test_the_guides_policies_are_whole(tmp_path: Path) -> None:
    guide = (FOLDER.parent / "docs" / "policy.md").read_text()
    small, included = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "policy.yaml").write_text(small)
    assert load(tmp_path / "policy.yaml").warnings == ()
    (tmp_path / "policy.yaml").write_text(small + "include: [policy.d]\n")
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d/50-documentation.yaml").write_text(included)
    (tmp_path / "policy.d/writers.txt").write_text("carol@EXAMPLE.COM\n")
    loaded = load(tmp_path / "policy.yaml")
    assert ([rule.name for rule in loaded.policy.rules], loaded.warnings) == (["committers", "writers"], ())

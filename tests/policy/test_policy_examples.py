"""The ready-made policies and the schema for editors, held to what the reader takes."""

import json
import re
from pathlib import Path

import pytest
import yaml

from securecc.model.principal import Principal
from securecc.policy.decision import decide
from securecc.policy.document import groups_section, policy_document, rules_section, tests_section
from securecc.policy.loading import load
from securecc.policy.network import parse_address

FOLDER = Path(__file__).parents[2] / "policy"
SITES = sorted(FOLDER.glob("*.yaml"))
SCHEMA = json.loads((FOLDER / "schema.json").read_text())


def test_the_sites_are_there():
    assert {"example.yaml", "one-team.yaml", "university.yaml", "ci-keytab.yaml"} <= {each.name for each in SITES}


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.name)
class TestSite:
    def test_is_whole_and_without_warning(self, path):
        loaded = load(path)
        assert loaded.warnings == ()
        assert len(loaded.policy.tests) >= 5

    def test_tests_every_rule(self, path):
        policy = load(path).policy
        assert {rule.name for rule in policy.rules} <= {test.expect for test in policy.tests}

    def test_lets_no_stranger_in(self, path):
        policy = load(path).policy
        for name in ("eve@EXAMPLE.COM", "alice@OTHER.ORG", "alice/root@EXAMPLE.COM", "alice@EXAMPLE.COM.OTHER.ORG"):
            assert not decide(policy, Principal.parse(name), parse_address("10.2.3.4"), (), {}).allowed

    def test_names_the_schema(self, path):
        assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("", policy_document._DOCUMENT),
        ("network", policy_document._NETWORK),
        ("group", groups_section._GROUP),
        ("unix_group", groups_section._UNIX_GROUP),
        ("rule", rules_section._RULE),
        ("limits", rules_section._LIMITS),
        ("quota", rules_section._QUOTA),
        ("test", tests_section._TEST),
    ],
)
def test_the_schema_knows_the_same_keys(part, keys):
    described = SCHEMA["$defs"][part] if part else SCHEMA
    assert set(described["properties"]) == set(keys)
    assert described["additionalProperties"] is False


def test_the_example_shows_every_key():
    example = yaml.safe_load((FOLDER / "example.yaml").read_text())
    assert set(example) == set(policy_document._DOCUMENT)
    assert set(example["network"]) == set(policy_document._NETWORK)
    assert set().union(*example["groups"].values()) == set(groups_section._GROUP)
    assert set().union(*example["rules"]) == set(rules_section._RULE)
    assert set(example["rules"][2]["limits"]) == set(rules_section._LIMITS)
    assert set(example["rules"][2]["quota"]) == set(rules_section._QUOTA)
    assert set().union(*example["tests"]) == set(tests_section._TEST)


def test_the_guides_policies_are_whole(tmp_path):
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

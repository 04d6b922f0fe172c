"""A policy of several documents: one whole, or none of it."""

from pathlib import Path

import pytest

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.model.principal import Principal
from securecc.policy.decision import decide
from securecc.policy.document.policy_document import Part, read_includes, read_policy, with_files
from securecc.policy.loading import Loaded, load
from securecc.policy.network import parse_address
from securecc.policy.review import review

MAIN = """\
version: 1
include: [policy.d]
groups:
  leavers: {principals: [mallory@EXAMPLE.COM]}
rules:
  - {name: leavers, action: deny, who: [leavers]}
tests:
  - {principal: mallory@EXAMPLE.COM, from: 10.2.3.4, expect: denied}
"""
FIRST = """\
version: 1
groups:
  team: {file: team.txt}
rules:
  - {name: team, who: [team]}
tests:
  - {principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: team}
"""
SECOND = """\
version: 1
rules:
  - {name: guests, who: [team, bob@EXAMPLE.COM, mallory@EXAMPLE.COM]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "policy.d").mkdir()
    files = {
        "policy.yaml": MAIN,
        "policy.d/10-team.yaml": FIRST,
        "policy.d/20-guests.yaml": SECOND,
        "policy.d/team.txt": "alice@EXAMPLE.COM\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def loaded(site: Path) -> Loaded:
    return load(site / "policy.yaml")


def refusal(site: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        loaded(site)
    return str(caught.value)


def decided(site: Path, name: str) -> str:
    return decide(loaded(site).policy, Principal.parse(name), parse_address("10.2.3.4"), (), {}).rule


def test_rules_stand_in_the_order_of_the_files_the_policys_first(site: Path) -> None:
    found = loaded(site)
    assert [rule.name for rule in found.policy.rules] == ["leavers", "team", "guests"]
    assert found.warnings == found.distrust == ()
    assert decided(site, "alice@EXAMPLE.COM") == "team"
    assert decided(site, "bob@EXAMPLE.COM") == "guests"


def test_what_the_policy_denies_no_included_file_allows(site: Path) -> None:
    assert decided(site, "mallory@EXAMPLE.COM") == "leavers"
    (site / "policy.d/00-first.yaml").write_text(SECOND.replace("guests", "sneaky").replace("team, ", ""))
    assert decided(site, "mallory@EXAMPLE.COM") == "leavers"


def test_a_file_that_is_added_changed_or_taken_away_is_another_revision(site: Path) -> None:
    seen = {loaded(site).policy.revision}
    (site / "policy.d/30-more.yaml").write_text("version: 1\n")
    seen.add(loaded(site).policy.revision)
    (site / "policy.d/30-more.yaml").write_text("version: 1 # more\n")
    seen.add(loaded(site).policy.revision)
    (site / "policy.d/30-more.yaml").rename(site / "policy.d/31-more.yaml")
    seen.add(loaded(site).policy.revision)
    (site / "policy.d/team.txt").write_text("bob@EXAMPLE.COM\nalice@EXAMPLE.COM\n")
    seen.add(loaded(site).policy.revision)
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("10-team.yaml", FIRST.replace("team:", "tea\tm:"), "policy.d/10-team.yaml:"),
        ("10-team.yaml", "version: 1\nnetwork: {}", "10-team.yaml:2:1: network: not allowed in an included"),
        ("10-team.yaml", "version: 1\ninclude: [more]", "10-team.yaml:2:1: include: not allowed in an included"),
        ("10-team.yaml", "rules: []", '10-team.yaml:1:1: "version" is missing'),
        ("10-team.yaml", "", "10-team.yaml: an empty document"),
        ("20-guests.yaml", SECOND.replace("guests", "team"), "(the first is in "),
        ("20-guests.yaml", SECOND.replace("guests", "leavers"), "policy.yaml:6)"),
        ("20-guests.yaml", SECOND.replace("[team", "[tema"), "20-guests.yaml:3:26: rules[0].who[0]: no group"),
        ("20-guests.yaml", "version: 1\ngroups: {team: {principals: [a@B]}}", 'a second group "team" (the first is in'),
        ("10-team.yaml", FIRST.replace("expect: team", "expect: denied"), "10-team.yaml:7:5: tests[0]: expected "),
    ],
)  # fmt: skip
def test_a_mistake_in_any_of_them_is_one_in_the_policy(site: Path, name: str, text: str, said: str) -> None:
    (site / "policy.d" / name).write_text(text)
    assert said in refusal(site)


def test_the_policys_own_tests_are_about_all_of_it(site: Path) -> None:
    (site / "policy.yaml").write_text(MAIN.replace("mallory", "bob").replace("{principals: [bob", "{principals: [dave"))
    message = refusal(site)
    assert "policy.yaml:8:5: tests[0]: expected denied for bob@EXAMPLE.COM" in message
    assert "allowed by guests" in message


@pytest.mark.parametrize("folder", ["/etc", "..", "../x", "a/../../b", '""', ".", '"a\\0b"', "[x]"])
def test_what_cannot_be_included(site: Path, folder: str) -> None:
    (site / "policy.yaml").write_text(MAIN.replace("[policy.d]", f"[{folder}]"))
    assert "policy.yaml:2:11: include[0]: " in refusal(site)


def test_a_folder_that_is_not_there_is_a_mistake(site: Path) -> None:
    (site / "policy.yaml").write_text(MAIN.replace("[policy.d]", "[policy.e]"))
    assert "policy.e: cannot be read: No such file" in refusal(site)


def test_what_is_no_document_by_its_name_is_said_and_not_read(site: Path) -> None:
    (site / "policy.d/30-typo.yml").write_text("nonsense: [")
    (site / "policy.d/.hidden.yaml").write_text("nonsense: [")
    assert loaded(site).warnings == (f"{site}/policy.d/30-typo.yml: ignored: its name does not end in .yaml",)


def test_who_may_add_a_file_lets_people_in(site: Path) -> None:
    (site / "policy.d").chmod(0o777)
    (distrust,) = loaded(site).distrust
    assert distrust.startswith(f"{site}/policy.d: others than its owner may write it")
    (site / "policy.d").chmod(0o755)
    (site / "policy.d/20-guests.yaml").chmod(0o664)
    (site / "policy.d/team.txt").chmod(0o666)
    assert len(loaded(site).distrust) == 2


def test_all_of_them_are_bounded(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POLICY_INCLUDED", 1000)
    (site / "policy.d/30-long.yaml").write_text("version: 1\n" + "# x\n" * 300)
    (site / "policy.d/40-unread.yaml").mkdir()  # what comes after it is not looked at any more
    assert "policy.d/30-long.yaml: all included files together have over 1000 bytes" in refusal(site)
    (site / "policy.d/40-unread.yaml").rmdir()
    monkeypatch.setattr(limits, "POLICY_PARTS", 3)
    assert "4 files; the limit is 3" in refusal(site)


def test_rules_of_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POLICY_RULES", 2)
    parts = [Part("d/a.yaml", SECOND.replace("team, ", "").encode()), Part("d/b.yaml", FIRST.encode())]
    with pytest.raises(PolicyError, match=r"d/b\.yaml:5:3: rules: 3 rules; at most 2"):
        read_policy(MAIN.encode(), "policy.yaml", parts)


def test_a_policy_may_leave_all_rules_to_its_parts() -> None:
    main = b"version: 1\ninclude: [d]\n"
    assert read_includes(main, "p.yaml") == ("d",)
    policy = read_policy(main, "p.yaml", [Part("d/a.yaml", b"version: 1\nrules: [{name: x, who: ['a@B']}]")])
    assert policy.rules[0].place.row == "d/a.yaml:2"
    with pytest.raises(PolicyError, match='"rules" is missing'):
        read_policy(main, "p.yaml", [Part("d/a.yaml", b"version: 1\n")])


def test_files_of_groups_are_found_beside_the_document_that_names_them() -> None:
    policy = read_policy(MAIN.encode(), "/etc/p.yaml", [Part("policy.d/a.yaml", FIRST.encode())])
    assert policy.groups["team"].file == "policy.d/team.txt"
    with pytest.raises(PolicyError, match=r"/etc/policy\.d/team\.txt:1:1"):
        with_files(policy, MAIN.encode(), {"policy.d/team.txt": b"alice\n"})


def test_warnings_name_the_document() -> None:
    parts = [Part("d/a.yaml", b"version: 1\ngroups: {g: {principals: [a@B]}}\nrules: [{name: x, who: [leavers]}]")]
    found = review(read_policy(MAIN.encode(), "p.yaml", parts))
    assert 'd/a.yaml:2: group "g" is not used in any rule' in found
    assert 'd/a.yaml:3: rule "x" is never reached: "leavers" (p.yaml:6) matches everything it would' in found

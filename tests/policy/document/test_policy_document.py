import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securecc.model import limits
from securecc.model.errors import PolicyError
from securecc.model.grant import Quota
from securecc.model.principal import Principal
from securecc.policy.document.policy_document import read_policy, revision_of, with_files
from securecc.policy.model import Policy

WHOLE = """\
version: 1
network: {allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.9.0.0/16], proxies: [10.0.0.1]}
groups:
  committers:
    principals: [alice@EXAMPLE.COM, "*/ci@EXAMPLE.COM"]
    file: committers.txt
    unix_group: {name: vcs-commit, realm: EXAMPLE.COM}
rules:
  - name: thieves
    action: deny
    who: [mallory@EXAMPLE.COM]
  - name: committers
    who: [committers]
    from: [10.0.0.0/8]
    require: {auth_indicators: [pkinit]}
    toolchains: ["gcc-*", "clang-*"]
    limits: {wall: 10min, cpu: 5min, memory: 4GiB, output: 256MiB, jobs: 64}
    weight: 2.5
    cache: group
tests:
  - {principal: alice@EXAMPLE.COM, from: 10.2.3.4, expect: committers}
  - {principal: alice@OTHER.ORG, from: 10.2.3.4, expect: denied}
"""


def read(text: str) -> Policy:
    return read_policy(text.encode(), "policy.yaml")


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        read(text)
    return str(caught.value)


def outcome(data: bytes) -> str:
    """The error in words, or nothing; any other exception fails the test."""
    try:
        read_policy(data, "policy.yaml")
    except PolicyError as error:
        return str(error)
    return ""


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return refusal(WHOLE.replace(old, new, 1))


def test_a_whole_document() -> None:
    policy = read(WHOLE)
    group = policy.groups["committers"]
    assert group.principals == {Principal(("alice",), "EXAMPLE.COM")}
    assert [str(each) for each in group.patterns] == ["*/ci@EXAMPLE.COM"]
    assert group.file == "committers.txt"
    assert [(each.name, each.realm) for each in policy.unix_groups] == [("vcs-commit", "EXAMPLE.COM")]
    thieves, committers = policy.rules
    assert (thieves.action, thieves.groups, len(thieves.patterns)) == ("deny", (), 1)
    assert committers.limits.wall_s == 600
    assert committers.limits.memory == 4 * limits.GIB
    assert (committers.jobs, committers.weight, committers.cache) == (64, 2.5, "group")
    assert committers.indicators == ("pkinit",)
    assert [test.expect for test in policy.tests] == ["committers", "denied"]
    assert [str(each) for each in policy.network.proxies] == ["10.0.0.1/32"]


def test_what_is_left_out_has_the_named_limits() -> None:
    (rule,) = read("version: 1\nrules: [{name: all, who: ['*@EXAMPLE.COM']}]").rules
    assert rule.limits.wall_s == limits.WALL_S
    assert rule.jobs == limits.JOBS_PER_PRINCIPAL
    assert (rule.cache, rule.toolchains, rule.sources) == ("none", ("*",), ())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 1", "version: 2", "policy.yaml:1:10: version: "),
        ("version: 1\n", "", '"version" is missing; write version: 1'),
        ("wall: 10min", "wall: 10", 'policy.yaml:17:20: rules[1].limits.wall: "10" is not a duration'),
        ("wall: 10min", "wall: 10m", "did you mean min?"),
        ("wall: 10min", "wall: 0s", "out of bounds"),
        ("wall: 10min", "wall: 100h", "out of bounds"),
        ("memory: 4GiB", "memory: 4GB", "did you mean GiB?"),
        ("memory: 4GiB", "memory: 4", "not a size"),
        ("memory: 4GiB", "memory: -4GiB", "not a size"),
        ("jobs: 64", "jobs: 0", "rules[1].limits.jobs: "),
        ("jobs: 64", "jobs: many", "not a whole number"),
        ("jobs: 64", "jobs: [64]", "a list where one word is wanted"),
        ("jobs: 64", "job: 64", 'unknown key "job"; did you mean "jobs"?'),
        ("weight: 2.5", "weight: .nan", "not a number"),
        ("weight: 2.5", "weight: -1", "not a number"),
        ("cache: group", "cache: groups", 'did you mean "group"?'),
        ("cache: group", "cache: no", "rules[1].cache: "),
        ("who: [committers]", "who: [comitters]", 'no group is called "comitters"; did you mean "committers"?'),
        ("who: [committers]", "who: committers", "one word where a list is wanted"),
        ("who: [committers]", "who: []", "an empty list"),
        ("who: [committers]", "who:", "no value"),
        ("    who: [committers]\n", "", '"who" is missing'),
        ("who: [committers]", "who: [committers, bob@EXAMPLE.COM]", "cache: group requires that who lists only groups"),
        ("from: [10.0.0.0/8]", "from: [10.0.0.1/8]", "did you mean 10.0.0.0/8?"),
        ("from: [10.0.0.0/8]", "from: [10.0.0.0/33]", "is not a network"),
        ("from: [10.0.0.0/8]", "from: [office]", "is not a network"),
        ("allow: [10.0.0.0/8, ", "allow: [1:30, ", "is not a network"),
        ("- name: committers", "- nam: committers", 'unknown key "nam"; did you mean "name"?'),
        ("- name: committers", "- name: no", "rules[1].name: unquoted no is yes-or-no to YAML"),
        ("- name: committers", "- name: 12", 'a number to YAML, not a name; write "12"'),
        ("- name: committers", "- name: denied", 'a rule cannot be called "denied"'),
        ("- name: committers", "- name: two words", "is not a name"),
        ("- name: committers", '- name: "a\\e[2J"', "is not a name"),
        ("- name: committers", "- name: thieves", "a second rule"),
        ("  - name: committers\n    who", "  - who", '"name" is missing'),
        ("  committers:\n", "  no:\n", "groups.no: unquoted no is yes-or-no"),
        ("  committers:\n", "  committers: {file: a}\n  committers:\n", "duplicate key (first in line 4)"),
        ("    who: [mallory@EXAMPLE.COM]", "    who: [mallory@EXAMPLE.COM]\n    jobs: 3", "unknown key"),
        ("    who: [mallory@EXAMPLE.COM]", "    cache: all", "a deny rule grants nothing"),
        ("action: deny", "action: reject", 'unknown value "reject"'),
        ("{name: vcs-commit, realm: EXAMPLE.COM}", "vcs-commit", "write {name: ..., realm: ...}"),
        ("{name: vcs-commit, realm: EXAMPLE.COM}", "{name: vcs-commit}", '"realm" is missing'),
        ("realm: EXAMPLE.COM}", "realm: '*'}", "is not a realm"),
        ("name: vcs-commit", "name: -x", "not a name of a unix group"),
        ("name: vcs-commit", "name: '0'", "not a name of a unix group"),
        ("file: committers.txt", "file: ..", "is not a file name"),
        ('"*/ci@EXAMPLE.COM"', "*/ci@EXAMPLE.COM", "a name that begins with * needs quotes"),
        ('"*/ci@EXAMPLE.COM"', "*ci", "an alias (*ci)"),
        ('"*/ci@EXAMPLE.COM"', '"*/ci@*"', "groups.committers.principals[1]: the realm of */ci@* has a *"),
        ("[alice@EXAMPLE.COM,", "[alice,", "no realm in 'alice'; write the whole name"),
        ("[alice@EXAMPLE.COM,", "[!!python/object:os.system alice,", "a tag ("),
        ("[alice@EXAMPLE.COM,", "[&a alice,", "an anchor (&a)"),
        ("expect: committers", "expect: committer", 'did you mean "committers"?'),
        ("{principal: alice@OTHER.ORG,", "{", '"principal" is missing'),
        ("from: 10.2.3.4, expect: denied", "from: 10.2.3.400, expect: denied", "is not an IP address"),
        ("expect: denied", "unix_groups: [vcs-comit], expect: denied", 'did you mean "vcs-commit"?'),
        ("groups:\n", "groups:\n\t", "a tab in the indentation; indent with spaces only"),
        ("groups:\n", "? [a]\n: 1\ngroups:\n", "a key must be one word"),
        ("tests:", "<<: {}\ntests:", 'unknown key "<<"'),
        ("tests:", "---\ntests:", "a second document"),
        ("tests:", "tests: [", "not YAML"),
        ("tests:", "\x07tests:", "policy.yaml:20:1: a control character"),
        ("allow: [10.0.0.0/8,", "allow: [::1,", 'an address like "::1" that needs quotes'),
        ("allow: [10.0.0.0/8,", "allow: [fe80::,", 'an address like "::1" that needs quotes'),
        ("allow: [10.0.0.0/8,", "allow: [fe80:: ,", "yaml:2:19: network.allow[0]: a map of keys where one word"),
        ("principal: alice@OTHER.ORG", "principal: '*@OTHER.ORG'", "is a pattern"),
        ("tests:", '"a\\n\\e[2J": 1\ntests:', r'unknown key "a\x0a\x1b[2J"'),
        ("\ngroups:", "\ngroups:\n  empty: {}", "a group without members"),
        ("wall: 10min", "wall: ", "rules[1].limits.wall: no value"),
        ("rules:", "rule:", 'did you mean "rules"?'),
    ],
)
def test_says_where_and_what(old: str, new: str, says: str) -> None:
    message = changed(old, new)
    assert says in message
    assert message.startswith("policy.yaml:")
    assert "\n" not in message


def test_bytes_that_are_not_text() -> None:
    with pytest.raises(PolicyError, match=r"policy\.yaml:2:3: this byte is not UTF-8"):
        read_policy(b"version: 1\n# \xe4\xff", "policy.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "just words", "null", "--- !x {}"])
def test_no_policy_at_all(text: str) -> None:
    refusal(text)


def test_a_yaml_bomb_is_never_expanded() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join(['*' + last] * 9)}]\n"
    assert "an anchor" in refusal(bomb)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_ends_early(opening: str) -> None:
    refusal(opening * 100_000)


def test_a_huge_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(PolicyError, match="the limit is"):
        read_policy(b"[" * (limits.POLICY_FILE + 1), "policy.yaml")


def test_too_many_rules() -> None:
    rules = "".join(f"  - {{name: r{number}, action: deny}}\n" for number in range(limits.POLICY_RULES + 1))
    assert f"at most {limits.POLICY_RULES}" in refusal(f"version: 1\nrules:\n{rules}")


def test_advice_names_a_few_of_many() -> None:
    groups = "".join(f"  group{number}: {{file: f}}\n" for number in range(99))
    said = refusal(f"version: 1\ngroups:\n{groups}rules: [{{name: a, who: [zz]}}]")
    assert said.endswith("and 87 more")


def test_the_revision_follows_every_byte() -> None:
    revisions = {
        revision_of(b"a", {}),
        revision_of(b"b", {}),
        revision_of(b"a", {"f": b""}),
        revision_of(b"a", {"f": b"x"}),
        revision_of(b"a", {"g": b"x"}),
    }
    assert len(revisions) == 5
    assert all(len(each) == 16 for each in revisions)


class TestWithFiles:
    def test_members_and_revision(self) -> None:
        policy = read(WHOLE)
        filled = with_files(policy, WHOLE.encode(), {"committers.txt": b"bob@EXAMPLE.COM\n"})
        assert filled.groups["committers"].members == {Principal(("bob",), "EXAMPLE.COM")}
        assert filled.revision != policy.revision

    def test_a_bad_line_is_named(self) -> None:
        policy = read_policy(WHOLE.encode(), "/etc/securecc/policy.yaml")
        with pytest.raises(PolicyError, match=r"^/etc/securecc/committers\.txt:2:1: no realm"):
            with_files(policy, WHOLE.encode(), {"committers.txt": b"bob@EXAMPLE.COM\nalice\n"})


KEYS = st.sampled_from(
    ["version", "network", "groups", "rules", "tests", "name", "who", "from", "limits", "cache", "allow"]
)
NODES = st.recursive(
    st.text(max_size=8) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.text(max_size=200))
@example("\ufeffversion: 1")
@example('a: "\\ud800"')
@example("%YAML 9.9\n---\na")
@example("\x85- \u2028")
def test_any_text_is_read_or_refused(text: str) -> None:
    assert "\n" not in outcome(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE)), st.integers(0, 12), st.text(max_size=6))
def test_any_edit_is_read_or_refused(at: int, length: int, text: str) -> None:
    said = outcome((WHOLE[:at] + text + WHOLE[at + length :]).encode())
    assert not said or said.startswith("policy.yaml:")


@settings(max_examples=100)
@given(NODES)
def test_any_tree_is_read_or_refused(node: Any) -> None:
    said = outcome(json.dumps(node).encode())
    assert not said or said.startswith("policy.yaml:")


QUOTA = """\
version: 1
rules:
  - name: committers
    who: [alice@EXAMPLE.COM]
    limits: {memory: 4GiB}
    quota: QUOTA
"""


def quota(text: str) -> Quota:
    (rule,) = read_policy(QUOTA.replace("QUOTA", text).encode(), "policy.yaml").rules
    return rule.quota


def test_a_quota() -> None:
    found = quota("{rate: 600/min, burst: 50, memory: 64GiB, store: 2GiB, connections: 16}")
    assert found == Quota(rate=10.0, burst=50, memory=64 << 30, store=2 << 30, connections=16)


def test_a_quota_that_says_little() -> None:
    assert quota("{}") == Quota()
    assert quota("{rate: 5/s}") == Quota(rate=5.0, burst=50)
    assert quota("{rate: 5/h}").burst == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{rate: 50}", 'quota.rate: "50" is not a rate'),
        ("{rate: 0/s}", "out of bounds"),
        ("{burst: 5}", "burst without rate; write a rate as well"),
        ("{memory: 2GiB}", "2GiB for all jobs is too little; one job of this rule may use 4GiB"),
        ("{connections: 0}", "from 1 to"),
        ("{store: 1B}", "out of bounds"),
        ("{jobs: 5}", 'unknown key "jobs"'),
    ],
)
def test_what_is_no_quota(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        quota(text)
    assert said in str(caught.value)


def test_a_rule_that_denies_has_no_quota() -> None:
    with pytest.raises(PolicyError, match="a deny rule grants nothing; leave quota out"):
        read_policy(b"version: 1\nrules: [{name: x, action: deny, quota: {rate: 5/s}}]", "policy.yaml")

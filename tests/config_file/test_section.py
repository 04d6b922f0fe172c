from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, UnsetType

from securecc.config_file.section import Section, did_you_mean, key_place, place_at, read_section
from securecc.config_file.words import FilePath, Name, Text, absolute, duration, size
from securecc.config_file.yaml_nodes import compose
from securecc.model.errors import PolicyError


class Inner(Section, frozen=True):
    name: Annotated[Name, Meta(description="what it is called")]
    time: Annotated[float, duration(1, 60)] = 5.0


class Document(Section, frozen=True, rename={"source": "from"}):
    source: Text = ""
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    bytes: Annotated[int, size(1024, 2**20)] = 4096
    level: Literal["low", "high"] = "low"
    version: Literal[1] = 1
    inner: Inner | UnsetType = UNSET
    several: Annotated[tuple[Inner, ...], Meta(min_length=1, max_length=2)] = ()
    either: FilePath | Inner = ""
    one_or_more: Inner | tuple[Inner, ...] = ()
    root: Annotated[str, absolute("/bin")] = ""
    table: Annotated[dict[Name, Inner], Meta(description="by name")] | UnsetType = UNSET


def read(text: str) -> Document:
    return read_section(compose(text.encode(), "d.yaml"), Document)


def test_what_is_left_out_has_its_default() -> None:
    assert read("{}") == Document()


def test_words_become_what_their_keys_say() -> None:
    found = read(
        """
from: "12"
count: 3
share: 0.25
bytes: 64KiB
level: high
version: 1
inner: {name: a, time: 1min}
several: [{name: b}]
root: /usr/bin
table: {x: {name: c}}
"""
    )
    assert found == Document(
        source="12",
        count=3,
        share=0.25,
        bytes=65536,
        level="high",
        inner=Inner(name="a", time=60.0),
        several=(Inner(name="b"),),
        root="/usr/bin",
        table={"x": Inner(name="c")},
    )


def test_a_key_may_take_one_of_several_kinds() -> None:
    assert read("either: log").either == "log"
    assert read("either: {name: a}").either == Inner(name="a")
    assert read("one_or_more: {name: a}").one_or_more == Inner(name="a")
    assert read("one_or_more: [{name: a}, {name: b}]").one_or_more == (Inner(name="a"), Inner(name="b"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuont: 1", 'd.yaml:1:1: cuont: unknown key "cuont"; did you mean "count"?'),
        ("inner: {time: 5s}", 'd.yaml:1:8: inner: "name" is missing; what it is called'),
        ("count: 10", "d.yaml:1:8: count: '10' is not a whole number from 1 to 9"),
        ("count: 1.5", "is not a whole number"),
        ("share: 2", "share: '2' is not a number from 0 to 1"),
        ("bytes: 4", "write a number and its unit"),
        ("bytes: 4B", "bytes: 4B is out of bounds; allowed is 1KiB to 1MiB"),
        ("inner: {name: a, time: 2h}", "inner.time: 2h is out of bounds; allowed is 1s to 1min"),
        ("level: hgih", 'level: unknown value "hgih"; did you mean "high"?'),
        ("version: 2", 'unknown value "2"; known here: 1'),
        ("from: no", 'from: unquoted no is yes-or-no to YAML, not a name; write "no"'),
        ("from: 0x10", "is a number to YAML"),
        ("from:", "no value; write one, or leave the key out"),
        ("inner:", "inner: no value; write a map of keys, or leave the key out"),
        ("inner: word", "one word where a map of keys is wanted (write {name: ...})"),
        ("several: {name: a}", "a map of keys where a list is wanted"),
        ("several: word", "one word where a list is wanted (write [ ] around it)"),
        ("several: []", "an empty list; leave the key out"),
        ("several: [{name: a}, {name: b}, {name: c}]", "a list of 3 is too long; the limit is 2"),
        ("several: [{name: a}, {name: '-'}]", "d.yaml:1:29: several[1].name: '-' is not a name"),
        ("either: [a]", "either: a list where a map of keys is wanted"),
        ("either: ~x", "begins with ~; a daemon has no home directory"),
        ("root: bin", "root: 'bin' is not an absolute path; write the whole path, as /bin"),
        ("table: {no: {name: a}}", "d.yaml:1:9: table.no: unquoted no is yes-or-no"),
        ("table: [a]", "a list where a map of keys is wanted"),
        ("[a]", "d.yaml:1:1: a list where a map of keys is wanted"),
    ],
)
def test_an_error_has_its_place_and_its_advice(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("d.yaml:1:")


def test_places_by_keys_and_indexes() -> None:
    node = compose(b"several:\n  - {name: a}\n  - name: b\n", "d.yaml")
    assert str(place_at(node, "several", 1, "name")) == "d.yaml:3:11"
    assert place_at(node, "several", 1, "name").key == "several[1].name"
    assert place_at(node, "several", 7) == place_at(node, "several")
    assert place_at(node, "other", 1) == node.place
    assert str(key_place(node, "several", 1, "name")) == "d.yaml:3:5"
    assert key_place(node, "other") == node.place


def test_advice_names_what_is_near_or_what_there_is() -> None:
    assert did_you_mean("alow", ["allow", "deny"]) == 'did you mean "allow"?'
    assert did_you_mean("x", ["allow", "deny"]) == "known here: allow, deny"
    assert did_you_mean("x", []) == "known here: none"

"""The truth table of authentication, corpus/authentication.yaml, against two real KDCs and the whole server: what the
client hears, what the server's log says, what the audit holds; and tickets through the wrapper.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.attacks.health import Health
from tests.attacks.proving import Proof, attempt, change_key, proofs, ticket
from tests.farm import farmside
from tests.farm.farmside import Farm, Realms, sources, until

TABLE = list(proofs())
POLICY = """
version: 1
network: {allow: [127.0.0.0/8]}
groups:
  committers: {principals: [alice@EXAMPLE.COM, bob@EXAMPLE.COM]}
  machines: {principals: ["*/ci@EXAMPLE.COM", "*/ANONYMOUS@EXAMPLE.COM", "*/*@WELLKNOWN:ANONYMOUS"]}
rules:
  - {name: committers, who: [committers], limits: {jobs: 8}}
  - {name: machines, who: [machines]}
  - {name: armoured, who: [dora@EXAMPLE.COM], require: {auth_indicators: [armoured]}}
"""


@pytest.fixture(scope="module")
def farm(realms: Realms, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose clocks may differ by eight seconds only, with a server that waits and logs at length."""
    folder = tmp_path_factory.mktemp("authentication")
    config = realms.config.with_name("krb5-strict.conf")  # where the server's users may read it
    config.write_text(realms.config.read_text().replace("[libdefaults]", "[libdefaults]\n    clockskew = 8"))
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    with farmside.some_farm(replace(realms, config=config), policy=policy) as made:
        made.server.configure(log_level="debug", limits="{preauth_deadline: 10min}")
        made.server.restart()
        yield made


@pytest.mark.parametrize("proof", TABLE, ids=lambda proof: proof.name)
def test_the_server_says_logs_and_records_what_the_table_does(farm: Farm, health: Health, proof: Proof) -> None:
    logged = len(farm.server.log())
    how, words = _attempted(farm, proof)
    assert how == proof.may, words
    new = until(lambda: farm.server.log()[logged:], what="a line of the log")
    until(lambda: re.search(proof.log, farm.server.log()[logged:]), what=f"{proof.log} in {new}")
    if proof.audit is None:
        assert health.records(kind="connection") == []
    else:
        records = until(lambda: health.records(kind="connection"), what="the record")
        assert proof.audit.items() <= records[-1].items(), records
    assert health.records(kind="job-start") == []
    if how == "refused authentication":
        assert words == "authentication failed"  # and no more than that
    if how == "refused denied":
        assert "rule" not in words


def _attempted(farm: Farm, proof: Proof) -> tuple[str, str]:
    if proof.keytab:
        read = farm.server.log().count("keytab reloaded")
        farm.realms.service_keytab(proof.keytab, farm.server.folder / "keytab")
        until(lambda: farm.server.log().count("keytab reloaded") > read, what="the new keytab's turn")
    cache = ticket(farm, proof.who, proof.kinit, proof.way)
    if not proof.keys:
        return attempt(farm, proof, cache)
    if proof.keys != "after":
        farm.run("kvno", "securecc/localhost", cwd=farm.folder, KRB5CCNAME=cache)
    read = farm.server.log().count("keytab reloaded")
    change_key(farm, forget=proof.keys == "gone")
    until(lambda: farm.server.log().count("keytab reloaded") > read, what="the new keytab's turn")
    try:
        return attempt(farm, proof, cache)
    finally:
        farm.kinit("alice")  # what the cache held was for the old key


def test_strangers_are_counted_in_the_audit(realms: Realms) -> None:
    """Who proved nothing has no record of its own: the minute's has. In a farm that may be restarted."""
    with farmside.some_farm(realms) as farm:
        _count_strangers(farm)


def _count_strangers(farm: Farm) -> None:
    wrong = next(proof for proof in TABLE if proof.bindings == "wrong")
    before = sum(record["counts"].get("authentication", 0) for record in farm.audit(kind="strangers"))
    attempt(farm, wrong, ticket(farm, "alice@EXAMPLE.COM"))
    farm.server.restart()
    (*_, last) = farm.audit(kind="strangers")
    assert last["source"] == "127.0.0.1"
    assert sum(record["counts"].get("authentication", 0) for record in farm.audit(kind="strangers")) > before


@pytest.mark.parametrize(
    ("person", "word"),
    [
        ("mallory", "mallory@EXAMPLE.COM is not admitted"),
        ("carol", "carol@OTHER.ORG is not admitted"),
        ("", "run kinit"),
    ],
)
def test_the_wrapper_compiles_locally_and_says_why(
    farm: Farm, health: Health, tmp_path: Path, person: str, word: str
) -> None:
    other = (
        farm.as_principal(person, own_agent=True) if person else farm.apart("nobody", KRB5CCNAME="FILE:/nonexistent")
    )
    (source,) = sources(tmp_path, 1)
    done = other.compile(source)
    other.end_agents()
    assert done.returncode == 0
    assert word in done.stderr
    assert source.with_suffix(".o").exists()
    assert health.records(kind="job-start") == []


def test_the_table_is_large() -> None:
    assert len(TABLE) >= 39

"""The corpus over options, trees, layers, sources: raw and through the wrapper, the health probe after each."""

from pathlib import Path

import pytest

from tests.attacks.corpus import FOLDER, Case, cases
from tests.attacks.health import Health
from tests.attacks.raw import End
from tests.attacks.submitting import RAW_PLACE, Names, submit_by_wrapper, submit_raw
from tests.farm.farmside import Farm

COMPILES = [case for topic in ("options", "environment", "trees", "layers", "sources") for case in cases(topic)]


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    return tmp_path / "owned"


def ended(end: End) -> str:
    """An end as the corpus names it."""
    if end.how != "result":
        return f"{end.how} {end.code}".strip()
    if end.ran.limit:
        return f"limited {end.ran.limit}"
    return "failed" if end.ran.status else "compiled"


def check_records(health: Health, how: str) -> None:
    """On record as it ended, and once: what was refused never ran."""
    refused, begun = health.records(kind="job-refused"), health.records(kind="job-start")
    if how.startswith("refused"):
        (record,) = refused
        assert f"refused {record['code']}" == how
        assert record["principal"] == "alice@EXAMPLE.COM"
        assert begun == []
    else:
        assert refused == []
        assert [record["job"] for record in health.records(kind="job-end")] == [record["job"] for record in begun]
    for record in (*refused, *begun):
        assert str(record.get("reason", "")).isprintable()


@pytest.mark.parametrize("case", COMPILES, ids=lambda case: case.id)
def test_raw(farm: Farm, health: Health, owned: Path, case: Case) -> None:
    names = Names(RAW_PLACE, owned)
    end = submit_raw(farm, case, names)
    assert ended(end) in case.may, end
    check_records(health, ended(end))
    if end.how == "result":
        assert set(end.files) <= {names.put(path) for path in case.made if path != "OWNED"}
    else:
        assert end.text
    assert not owned.exists()
    if "a job" in case.never:
        assert health.records(kind="job-start") == []
    for word in case.never:
        assert not word.startswith("shown: ") or word.removeprefix("shown: ").encode() not in end.content


@pytest.mark.parametrize("case", [case for case in COMPILES if case.wrapper], ids=lambda case: case.id)
def test_through_the_wrapper(farm: Farm, health: Health, tmp_path: Path, owned: Path, case: Case) -> None:
    place = tmp_path / "place"
    place.mkdir()
    names = Names(str(place), owned)
    done = submit_by_wrapper(farm, case, names)
    begun = [record["job"] for record in health.records(kind="job-start")]
    if not begun:
        how = "stays"  # what the person's own compiler then does is between the two
    else:
        how = "failed" if done.returncode else "compiled"
        assert not owned.exists() or "OWNED" in case.made
        assert "a job" not in case.never
        assert _made(case, names, place) <= ({names.put(path) for path in case.made} if how == "compiled" else set())
    assert how in case.wrapper, (done.returncode, done.stderr)
    assert [record["job"] for record in health.records(kind="job-end")] == begun
    assert len(health.records(kind="job-refused")) <= 1


def _made(case: Case, names: Names, place: Path) -> set[bytes]:
    """What there is now that was not there."""
    said = {str(entry.get("file") or entry.get("link") or entry.get("folder")) for entry in case.tree}
    before = {names.put(path) for path in said} | {names.put(f"PLACE/{path}") for path in case.files}
    return {bytes(path) for path in place.rglob("*")} - before


def test_the_corpus_is_large() -> None:
    """And what is counted here is what runs: nothing is named twice, no file is left out."""
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert {case.topic for case in COMPILES} <= files
    assert len({case.id for case in COMPILES}) == len(COMPILES) >= 150
    assert sum(bool(case.wrapper) for case in COMPILES) >= 80

"""The farm of these tests by itself: one compile, on the server, on record."""

from pathlib import Path

from tests.farm.farmside import Farm


def test_a_compile_goes_to_the_server_and_is_on_record(farm: Farm, tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return 3; }\n")
    done = farm.compile(source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert source.with_suffix(".o").exists()
    (end,) = farm.audit(kind="job-end", principal="alice@EXAMPLE.COM")
    assert end["outcome"] == "done"
    assert farm.journal()["remote"] == 1
    assert farm.why() == {}

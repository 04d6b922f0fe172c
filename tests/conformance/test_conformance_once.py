"""A compile that a server has done is done once, however much it says: not here again for its warnings."""

from pathlib import Path

import pytest

from tests.farm.farmside import Farm, until

WARNS = "static int unused{n};\nint f{n}(unsigned u) {{ if (u < 0) return 1; int x; return x + {n}; }}\n"
COUNT = 8


@pytest.mark.parametrize("compiler", ["gcc", "clang", "g++", "clang++"])
def test_what_only_warns_is_compiled_once(farm: Farm, tmp_path: Path, compiler: str) -> None:
    own = farm.apart(f"once-{compiler.replace('+', 'x')}")
    before = len(farm.audit(kind="job-start"))
    for number in range(COUNT):
        (tmp_path / f"w{number}.c").write_text(WARNS.format(n=number))
        done = own.run("securecc", compiler, "-Wall", "-Wextra", "-c", f"w{number}.c", cwd=tmp_path)
        assert done.returncode == 0
        assert done.stderr.count("warning: ") >= 2
    until(lambda: own.journal()["remote"] == COUNT, what="the journal")
    assert own.journal()["local"] == 0
    assert len(farm.audit(kind="job-start")) == before + COUNT
    own.end_agents()

"""What was compiled elsewhere is measured here: the counts of a run fit the notes that a server made."""

import subprocess
from pathlib import Path

from tests.farm.farmside import Farm
from tests.farm.twins import put
from tests.waiting import CEILING_S

FILES = {
    "src/a.c": '#include "a.h"\nint twice(int n) {\n  if (n > 100)\n    return n;\n  return SUM(n);\n}\n',
    "src/a.h": "#define SUM(n) ((n) + (n))\nint twice(int);\n",
    "main.c": '#include "src/a.h"\nint main(void) { return twice(2) - 4; }\n',
    "obj/.keep": "",
}


def _told(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=CEILING_S)
    return done.stdout


def _measured(farm: Farm, folder: Path, launcher: list[str]) -> dict[str, str]:
    """Everything that gcov says, by the file that it says it in."""
    folder.mkdir()
    put(folder, FILES)
    env = {**farm.env, "LC_ALL": "C", "SECURECC_VERBOSE": "1"}
    for source, made in (("src/a.c", "obj/a.o"), ("main.c", "obj/main.o")):
        command = [*launcher, "gcc", "--coverage", "-g", "-c", source, "-o", made]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True, timeout=CEILING_S)
        assert not launcher or b"compiled on " in done.stderr
    _told(["gcc", "--coverage", "obj/a.o", "obj/main.o", "-o", "program"], folder, env)
    _told(["./program"], folder, env)
    said = {"": _told(["gcov", "-b", "obj/a.gcda", "obj/main.gcda"], folder, env)}
    return said | {path.name: path.read_text() for path in sorted(folder.glob("*.gcov"))}


def test_gcov_says_the_same_as_for_local_objects(farm: Farm, tmp_path: Path) -> None:
    place = tmp_path / "w"
    alone = _measured(farm, place, [])
    place.rename(tmp_path / "alone")
    elsewhere = _measured(farm, place, ["securecc"])
    assert elsewhere == alone
    assert "1:    5:  return SUM(n);" in elsewhere["a.c.gcov"]
    assert "#####:    4:    return n;" in elsewhere["a.c.gcov"]

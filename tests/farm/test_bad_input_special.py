"""Sources, headers and response files that can be read only once: nobody reads them but the compiler."""

import subprocess
from pathlib import Path

import pytest

from tests.farm.farmside import Farm
from tests.waiting import CEILING_S

FILES = {
    "named.c": "#include NAME\nint b = X;\n",
    "a.c": "int a = X;\n",
    "includes.c": '#include "fifo.h"\nint b = X;\n',
}
GIVES = "<(echo '#define X 0x5eed'; echo 'int x = X;')"


@pytest.mark.parametrize(
    "script",
    [
        f"CC -x c -c {GIVES} -o o",
        f"CC -x c -m32 -c {GIVES} -o o",
        f"CC -include {GIVES} -c a.c -o o",
        f"CC -m32 -include {GIVES} -c a.c -o o",
        f"CC -imacros {GIVES} -c a.c -o o",
        "CC @<(echo -DX=0x5eed) -c a.c -o o",
        "echo 'int x = 0x5eed;' | CC -x c -c /dev/stdin -o o",
        "echo 'int x = 0x5eed;' | CC -x c -c /proc/self/fd/0 -o o",
        "mkfifo f.c; (echo 'int x = 0x5eed;' >f.c) & CC -c f.c -o o",
        "mkfifo args; (echo -DX=0x5eed >args) & CC @args -c a.c -o o",
        "mkfifo fifo.h; (echo '#define X 0x5eed' >fifo.h) & CC -c includes.c -o o",
        "mkfifo fifo.h; ln -s fifo.h l.h; (echo '#define X 0x5eed' >fifo.h) & CC -include l.h -c a.c -o o",
    ],
)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_same_as_by_the_compiler_alone(farm: Farm, tmp_path: Path, script: str, compiler: str) -> None:
    made = []
    for place, launcher in ((tmp_path / "alone", ""), (tmp_path / "through", "securecc ")):
        place.mkdir()
        for name, text in FILES.items():
            (place / name).write_text(text)
        command = ["bash", "-c", script.replace("CC", launcher + compiler)]
        done = subprocess.run(
            command, cwd=place, env=farm.env, capture_output=True, text=True, timeout=CEILING_S, check=False
        )
        made.append((done.returncode, done.stderr, (place / "o").read_bytes() if not done.returncode else b""))
    assert made[0] == made[1]
    assert (0x5EED).to_bytes(4, "little") in made[0][2] or ("@" in script and compiler == "gcc")  # which reads none


@pytest.mark.parametrize("words", ["-m32 -c includes.c", "'-DNAME=\"fifo.h\"' -c named.c"])
def test_what_only_the_compiler_finds_fails_aloud(farm: Farm, tmp_path: Path, words: str) -> None:
    """It has read it when it was asked: what it would compile now is something else."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    script = f"mkfifo fifo.h; (echo '#define X 0x5eed' >fifo.h) & securecc gcc {words} -o o"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=farm.env,
        capture_output=True,
        text=True,
        timeout=CEILING_S,
        check=False,
    )
    assert done.returncode == 107
    assert "fifo.h is a FIFO, and was read when the compiler was asked" in done.stderr
    assert not (tmp_path / "o").exists()
    assert farm.counts("special-taken")

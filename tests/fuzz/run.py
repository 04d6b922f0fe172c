"""Long runs over the targets, steered by the coverage of the code: `make fuzz`, or run.py [SECONDS [TARGET...]].

Each target says what its samples reach and what was reached in the end: features of the code, and inputs kept.

Each target has a process and a corpus of its own in build/fuzz, which the next run goes on from. Input that breaks
one is left there as crash-*, and is the argument for `python tests/fuzz/run.py TARGET FILE`, which reads it once.
"""

import random
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build/fuzz"
LONGEST = 4096  # bytes of one input
STATUS = re.compile(r"#(?P<runs>\d+)\s+\w+\s+cov: \d+ ft: (?P<features>\d+) corp: (?P<kept>\d+)")  # libFuzzer's
LEAST = 40  # features; a target alone, without the code that it calls, has some ten
OFTEN = 0.7  # how many changes keep an input's form


def main(words: list[str]) -> int:
    """The exit status: 1 if any target broke."""
    if words[:1] == ["--one"]:
        return _fuzz(words[1], words[2:])
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.fuzz.targets import TARGETS

    if words and words[0] in TARGETS:
        TARGETS[words[0]](Path(words[1]).read_bytes())
        return 0
    seconds, names = int((words or ["60"])[0]), words[1:] or list(TARGETS)
    return max(_child(name, seconds) for name in names)


def _child(name: str, seconds: int) -> int:
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    print(f"=== {name}, {seconds} s", flush=True)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={folder}/"]
    command = [sys.executable, str(HERE / "run.py"), "--one", name, *options, str(folder / "found")]
    reached = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stderr
        for line in process.stderr:
            if found := STATUS.match(line):
                reached.append(found)
            elif not line.startswith(("INFO:", "#", "WARNING:")):
                print(line, end="")
    if reached:
        first, last = reached[0], reached[-1]
        print(f"{name}: {last['runs']} runs; features {first['features']} -> {last['features']}, "
              f"inputs kept {first['kept']} -> {last['kept']}")  # fmt: skip
        if int(last["features"]) < LEAST:
            print(f"{name}: nothing steers it, the code that reads is not seen")
            return 1
    print(f"{name}: {'nothing found' if process.returncode == 0 else f'BROKEN, see {folder}'}", flush=True)
    return int(process.returncode != 0)


def _fuzz(name: str, options: list[str]) -> int:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # an optional extra: pip install 'securecc[fuzz]'

    # An editable installation brings a finder of its own, whose modules would count for nothing.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
    sys.path[:0] = [str(HERE.parents[1])]
    with atheris.instrument_imports(include=["securecc", "tests.fuzz.targets"]):
        from tests.fuzz.mutation import MUTATORS
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS

        samples = seeds()[name]
        for data in samples:  # what is imported late is seen as well
            TARGETS[name](data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        made = MUTATORS[name](data, chance) if chance.random() < OFTEN else data
        return made if made != data and len(made) <= most else atheris.Mutate(data, most)

    found = Path(options[-1])
    found.mkdir(exist_ok=True)
    for number, data in enumerate(samples):
        (found / f"seed-{number}").write_bytes(data)
    mutator = {"custom_mutator": change} if name in MUTATORS else {}
    atheris.Setup([sys.argv[0], *options], TARGETS[name], **mutator)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

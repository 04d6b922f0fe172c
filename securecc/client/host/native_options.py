"""What -march=native means here: the compiler itself is asked for the options that it puts in its place."""

import asyncio
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from securecc.compiler.command_line.option_table import Family
from securecc.model import limits
from securecc.model.errors import StaysLocal

_REMEMBERED = 256  # different sets of options; a build has one or two
_NATIVE = frozenset((b"-march=native", b"-mtune=native", b"-mcpu=native"))
_OF_EVERY_PROCESSOR = frozenset(("+64bit", "+cx8", "+cmov"))  # there is no option for these


@dataclass(frozen=True, slots=True)
class Chosen:
    """What clang's driver tells the compiler proper of the processor."""

    processor: str
    tuned: str
    features: frozenset[str]


class NativeOptions:
    """The answers of this machine's compilers. They hold for an agent's life: the processor does not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, tuple[bytes, ...]], tuple[bytes, ...]] = {}

    async def options(
        self, compiler: bytes, family: Family, identity: bytes, asked: Sequence[bytes]
    ) -> tuple[bytes, ...]:
        """What means the same as `asked` (-m..., --param) on any machine.

        `identity` is the toolchain's digest: another compiler at the same path answers for itself. Raises StaysLocal
        when there is no answer.
        """
        key = (compiler, identity, tuple(asked))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            answer = _of_clang if family == "clang" else _of_gcc
            found = self._known[key] = await asyncio.to_thread(answer, compiler, asked)
        return found


def _of_gcc(compiler: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
    """All options of the kind that gcc hands to the compiler proper."""
    return machine_options(_ask(compiler, asked))


def _of_clang(compiler: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
    """Options for which clang tells the compiler proper the same, feature by feature."""
    here = chosen(_ask(compiler, asked))
    features = sorted(here.features - _OF_EVERY_PROCESSOR)
    spelled = ["-m" + ("no-" if feature[0] == "-" else "") + feature[1:] for feature in features]
    tuned = [f"-mtune={here.tuned}"] if here.tuned else []
    meant = (
        *(option.encode() for option in (f"-march={here.processor}", *tuned, *spelled)),
        *(option for option in asked if option not in _NATIVE),
    )
    there = chosen(_ask(compiler, meant))
    differing = here.features ^ there.features
    if (there.processor, there.tuned) != (here.processor, here.tuned) or not differing <= _OF_EVERY_PROCESSOR:
        raise StaysLocal("native", "the compiler has no options that say what this machine is")
    return meant


def _ask(compiler: bytes, asked: Sequence[bytes]) -> bytes:
    command = [compiler, *asked, b"-###", b"-S", b"-x", b"c", b"/dev/null", b"-o", b"/dev/null"]
    try:
        said = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=limits.PROBE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StaysLocal("native", f"the compiler does not say what this machine is: {error}") from error
    return said.stderr


def machine_options(said: bytes) -> tuple[bytes, ...]:
    """The -m... and --param of the command that runs the compiler proper, among all that `gcc -###` prints."""
    words = _compiler_proper(said, lambda words: words[0].endswith("cc1"))
    found: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--param":
            found += [word, following]
        elif word.startswith(("-m", "--param=")):
            found.append(word)
    return tuple(word.encode("utf-8", "surrogateescape") for word in found)


def chosen(said: bytes) -> Chosen:
    """The processor in the command that runs the compiler proper, among all that `clang -###` prints."""
    words = _compiler_proper(said, lambda words: words[1:2] == ["-cc1"])
    pairs = list(pairwise(words))
    processor = [value for name, value in pairs if name == "-target-cpu"]
    tuned = [value for name, value in pairs if name == "-tune-cpu"]
    features = frozenset(value for name, value in pairs if name == "-target-feature")
    if len(processor) != 1 or len(tuned) > 1 or not all(feature[:1] in {"+", "-"} for feature in features):
        raise StaysLocal("native", "the compiler does not say what this machine is")
    return Chosen(processor[0], tuned[0] if tuned else "", features)


def _compiler_proper(said: bytes, is_it: Callable[[list[str]], bool]) -> list[str]:
    for line in said.splitlines():
        words = shlex.split(line.decode("utf-8", "surrogateescape")) if line.startswith(b" ") else []
        if words and is_it(words):
            return words
    raise StaysLocal("native", "the compiler does not say what this machine is")

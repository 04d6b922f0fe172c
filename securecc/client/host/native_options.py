"""What -march=native means here: asks the compiler itself for the options that it stands for."""

import asyncio
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cachetools import LRUCache

from securecc.compiler.command_line.option_table import Family
from securecc.model import limits
from securecc.model.errors import StaysLocal

_NATIVE = frozenset((b"-march=native", b"-mtune=native", b"-mcpu=native"))
_OF_EVERY_PROCESSOR = frozenset(("+64bit", "+cx8", "+cmov"))  # there is no option for these
_NO_ANSWER = "the compiler does not say what -march=native means"


@dataclass(frozen=True, slots=True)
class Processor:
    """What clang's driver tells the compiler proper: -target-cpu, -tune-cpu (empty: none) and each -target-feature."""

    name: str
    tune: str
    features: frozenset[str]


class NativeOptions:
    """The answers of this machine's compilers. They hold for an agent's life: the processor does not change."""

    def __init__(self) -> None:
        self._known: LRUCache[tuple[bytes, bytes, tuple[bytes, ...]], tuple[bytes, ...]] = LRUCache(
            limits.NATIVE_OPTIONS_REMEMBERED
        )

    async def options(
        self, compiler: bytes, family: Family, identity: bytes, asked: Sequence[bytes]
    ) -> tuple[bytes, ...]:
        """Options that mean the same as `asked` (-m..., --param) on any machine.

        `identity` is the toolchain's digest: another compiler at the same path answers for itself.

        Raises:
            StaysLocal: the compiler gives no answer, or no options mean the same.
        """
        key = (compiler, identity, tuple(asked))
        found = self._known.get(key)
        if found is None:
            answer = _of_clang if family == "clang" else _of_gcc
            found = self._known[key] = await asyncio.to_thread(answer, compiler, asked)
        return found


def gcc_machine_options(driver_output: bytes) -> tuple[bytes, ...]:
    """The -m... and --param of the command that runs the compiler proper, among all that `gcc -###` prints.

    Raises:
        StaysLocal: there is no such command.
    """
    words = _compiler_proper(driver_output, lambda words: words[0].endswith("cc1"))
    found: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--param":
            found += [word, following]
        elif word.startswith(("-m", "--param=")):
            found.append(word)
    return tuple(word.encode("utf-8", "surrogateescape") for word in found)


def clang_processor(driver_output: bytes) -> Processor:
    """The processor in the command that runs the compiler proper, among all that `clang -###` prints.

    Raises:
        StaysLocal: there is no such command, or it names none or several.
    """
    words = _compiler_proper(driver_output, lambda words: words[1:2] == ["-cc1"])
    pairs = list(pairwise(words))
    names = [value for option, value in pairs if option == "-target-cpu"]
    tunes = [value for option, value in pairs if option == "-tune-cpu"]
    features = frozenset(value for option, value in pairs if option == "-target-feature")
    if len(names) != 1 or len(tunes) > 1 or not all(feature[:1] in {"+", "-"} for feature in features):
        raise StaysLocal("native", _NO_ANSWER)
    return Processor(names[0], tunes[0] if tunes else "", features)


def _of_gcc(compiler: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
    """All such options that gcc passes to the compiler proper."""
    return gcc_machine_options(_driver_output(compiler, asked))


def _of_clang(compiler: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
    """Options for which clang tells the compiler proper the same, feature by feature.

    Raises:
        StaysLocal: there are none, or clang does not say.
    """
    native = clang_processor(_driver_output(compiler, asked))
    features = sorted(native.features - _OF_EVERY_PROCESSOR)
    spelled = ["-m" + ("no-" if feature[0] == "-" else "") + feature[1:] for feature in features]
    tune = [f"-mtune={native.tune}"] if native.tune else []
    options = (
        *(option.encode() for option in (f"-march={native.name}", *tune, *spelled)),
        *(option for option in asked if option not in _NATIVE),
    )
    portable = clang_processor(_driver_output(compiler, options))
    differing = native.features ^ portable.features
    if (portable.name, portable.tune) != (native.name, native.tune) or not differing <= _OF_EVERY_PROCESSOR:
        raise StaysLocal("native", "the compiler has no options that mean the same as -march=native here")
    return options


def _driver_output(compiler: bytes, asked: Sequence[bytes]) -> bytes:
    """What the driver says it would run.

    Raises:
        StaysLocal: it does not say.
    """
    command = [compiler, *asked, b"-###", b"-S", b"-x", b"c", b"/dev/null", b"-o", b"/dev/null"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=limits.PROBE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StaysLocal("native", f"{_NO_ANSWER}: {error}") from error
    return done.stderr


def _compiler_proper(driver_output: bytes, is_it: Callable[[list[str]], bool]) -> list[str]:
    """The words of the first command for which `is_it` is true.

    Raises:
        StaysLocal: there is none.
    """
    for line in driver_output.splitlines():
        words = shlex.split(line.decode("utf-8", "surrogateescape")) if line.startswith(b" ") else []
        if words and is_it(words):
            return words
    raise StaysLocal("native", _NO_ANSWER)

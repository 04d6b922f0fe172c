"""What -march=native means here: the compiler itself is asked for the options that it puts in its place."""

import asyncio
import shlex
import subprocess
from collections.abc import Sequence

from securecc.words import limits
from securecc.words.errors import StaysLocal

_REMEMBERED = 256  # different sets of options; a build has one or two


class Processors:
    """The answers of this machine's compilers. They hold for an agent's life: the processor does not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, tuple[bytes, ...]], tuple[bytes, ...]] = {}

    async def options(self, compiler: bytes, identity: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
        """All options of the kind of `asked` (-m..., --param) that gcc hands to the compiler proper for these.

        `identity` is the toolchain's digest: another compiler at the same path answers for itself. Raises StaysLocal
        when there is no answer.
        """
        key = (compiler, identity, tuple(asked))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = await asyncio.to_thread(_ask, compiler, asked)
        return found


def _ask(compiler: bytes, asked: Sequence[bytes]) -> tuple[bytes, ...]:
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
    return machine_options(said.stderr)


def machine_options(said: bytes) -> tuple[bytes, ...]:
    """The -m... and --param of the command that runs the compiler proper, among all that `gcc -###` prints."""
    for line in said.splitlines():
        words = shlex.split(line.decode("utf-8", "surrogateescape")) if line.startswith(b" ") else []
        if words and words[0].endswith("cc1"):
            return tuple(word.encode("utf-8", "surrogateescape") for word in _chosen(words))
    raise StaysLocal("native", "the compiler does not say what this machine is")


def _chosen(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--param":
            found += [word, following]
        elif word.startswith(("-m", "--param=")):
            found.append(word)
    return found

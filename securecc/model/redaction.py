r"""Removes secrets from what is about to be recorded, by the site's patterns.

Patterns are in RE2's syntax (https://github.com/google/re2/wiki/Syntax) and matched by it, in time that grows with the
text only: there are no backreferences and no look-around, so no pattern and no argument can make it slow. Each is
matched against one argument at a time; ``.`` matches all bytes. What its groups match becomes ``[redacted]``, or all
that it matches where it has none.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.printable import QUOTED, quote

MARK: Final = b"[redacted]"

_SECRET_LEAST = 3  # bytes: shorter ones are in too many words

Redact = Callable[[Sequence[bytes]], Sequence[bytes]]
"""Takes arguments; returns them without their secrets."""

_FORBIDDEN = re.compile(
    rb"\\[AzCQE]|\(\?(?!i?[:)]|P?<)[^:)]*[:)]?"
)  # would mean something else when joined with other patterns


def unredacted(arguments: Sequence[bytes]) -> Sequence[bytes]:
    """A Redact for sites without patterns: the arguments as they are."""
    return arguments


class Redaction:
    """A site's patterns, compiled. An instance is a Redact.

    Raises:
        ConfigError: a pattern is not one.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        sources = [_checked(pattern) for pattern in patterns]
        self._any: Any = None
        if not sources:
            return
        import re2  # noqa: PLC0415 - 4 MB for those who use it only

        options = _options(re2)
        self._patterns = [_compiled(re2, source, options) for source in sources]
        # All patterns at once, on all arguments at once, each argument a line: whatever matches within one argument
        # matches here too, so that the usual job, without secrets, costs one search.
        whole = b"|".join(b"(?:" + source + b")" for source in sources)
        self._any = _compiled(re2, b"(?m)" + whole, options)

    def __call__(self, arguments: Sequence[bytes]) -> Sequence[bytes]:
        """The arguments, with what the patterns match replaced."""
        if self._any is None or self._any.search(b"\n".join(arguments)) is None:
            return arguments
        return [self._one(argument) for argument in arguments]

    def prose(self, text: str) -> str:
        """A message that may quote arguments, with what the patterns match removed."""
        data = text.encode("utf-8", "surrogatepass")
        if self._any is None or self._any.search(data) is None:
            return text
        return self._one(data).decode("utf-8", "replace")

    def _one(self, argument: bytes) -> bytes:
        spans = sorted(span for pattern in self._patterns for span in _spans(pattern, argument))
        parts, end = [], 0
        for start, stop in spans:
            if start >= end:
                parts += [argument[end:start], MARK]
            end = max(end, stop)
        return b"".join([*parts, argument[end:]])


def _options(re2: Any) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.encoding = re2.Options.Encoding.LATIN1  # bytes: arguments need not be UTF-8
    options.max_mem = limits.AUDIT_PATTERN_MEMORY
    return options


def _checked(pattern: str) -> bytes:
    source = pattern.encode("utf-8", "surrogateescape")
    if not 0 < len(source) <= limits.AUDIT_PATTERN:
        raise ConfigError(f"a pattern of {len(source)} bytes; 1 to {limits.AUDIT_PATTERN}", "write several short ones")
    odd = _FORBIDDEN.search(source.replace(rb"\\", b""))
    if odd is not None:
        raise ConfigError(
            f"{odd[0]!a} in pattern {pattern[:80]!a}", "for an argument's ends use ^ $; as a flag (?i) alone"
        )
    return source


def _compiled(re2: Any, source: bytes, options: Any) -> Any:
    try:
        return re2.compile(source, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        advice = "write it in RE2's syntax: no backreferences, no look-around"
        raise ConfigError(f"pattern {source[:80]!a}: {why}", advice) from error


def _spans(pattern: Any, text: bytes) -> list[tuple[int, int]]:
    """The spans to replace, none of them empty, in no particular order."""
    found = []
    for match in pattern.finditer(text):
        groups = range(1, pattern.groups + 1) if pattern.groups else (0,)
        found += [match.span(group) for group in groups]
    return [(start, stop) for start, stop in found if 0 <= start < stop]


def silenced(reason: str, arguments: Sequence[bytes], shown: Sequence[bytes], redact: Redact) -> str:
    """A reason that may quote arguments, or parts of them, without what `redact` removed from them; `shown` are the
    redacted arguments.
    """
    if not reason:
        return reason
    if shown is not arguments:
        for argument, without in zip(arguments, shown, strict=True):
            for form, mark in _quotations(argument, without) if argument != without else ():
                reason = reason.replace(form, mark)
    data = reason.encode("utf-8", "surrogatepass")
    [said] = redact([data])
    return reason if said == data else said.decode("utf-8", "replace")


def _quotations(argument: bytes, without: bytes) -> Iterator[tuple[str, str]]:
    """How a message may quote an argument, or only the secret in it; longest first."""
    pairs = [(argument, without)]
    before, mark, after = without.partition(MARK)
    secret = argument[len(before) : len(argument) - len(after)]
    if mark and len(secret) >= _SECRET_LEAST:
        pairs.append((secret, MARK))
    for whole, instead in pairs:
        for part in (whole, whole[:QUOTED]):
            yield quote(part, len(part))[1:-1], quote(instead, len(instead))[1:-1]
            yield part.decode("utf-8", "surrogateescape"), instead.decode("utf-8", "replace")

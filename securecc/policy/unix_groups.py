"""Unix groups, looked up in the name service (so files, SSSD, LDAP and FreeIPA work) with a deadline.

The look-up is done by getent(1), a child that is killed at the deadline. Python's own pwd.getpwall(3) holds the
interpreter's lock while the service is silent, so even in a thread it would stop the event loop.
"""

import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from securecc.model import limits
from securecc.model.errors import ConfigError
from securecc.model.principal import Principal
from securecc.policy.model import Memberships, UnixGroup

Question = tuple[str, ...]
Ask = Callable[[Question, float], bytes]
"""Looks something up, by getent's arguments and a deadline in seconds; raises ConfigError without an answer."""

_GETENT = "/usr/bin/getent"
_ACCOUNTS: Question = ("passwd",)
_NOT_FOUND = 2  # getent(1)
_AT_ONCE = 8  # children
_GROUP_FIELDS = 4  # group(5): name, password, gid, members
_PASSWD_FIELDS = 7  # passwd(5)


def getent(arguments: Question, deadline_s: float) -> bytes:
    """The name service's answer.

    Raises:
        ConfigError: it has no such entry, or there is no answer within `deadline_s` seconds.
    """
    command = [_GETENT, *arguments]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=max(deadline_s, 0.01),
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"no answer within {limits.GROUP_LOOKUP_S:g} s") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{_GETENT} cannot be run: {error}") from error
    if done.returncode == _NOT_FOUND:
        raise ConfigError("the name service has no such entry")
    if done.returncode != 0 or len(done.stdout) > limits.GROUP_ANSWER:
        raise ConfigError(f"{_GETENT} failed with exit status {done.returncode} and {len(done.stdout)} bytes of output")
    return done.stdout


@dataclass(frozen=True, slots=True)
class _Answer:
    text: bytes
    at: float


class UnixGroups:
    """Keeps the last answer to each question. One caller at a time; `refresh` blocks, so run it in a thread."""

    def __init__(self, ask: Ask = getent, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._answers: dict[Question, _Answer] = {}

    def refresh(self, groups: Iterable[UnixGroup]) -> tuple[Memberships, tuple[str, ...]]:
        """The members of all groups, and a warning for each look-up that failed; takes at most `limits.GROUP_LOOKUP_S`.

        The last answer is used in place of one that fails, for `limits.GROUP_STALE_S`; after that the group is
        missing from the result. Members include those whose primary group it is, if the service lists all accounts.
        """
        wanted = tuple(groups)
        if not wanted:
            return {}, ()
        questions = [_ACCOUNTS, *sorted({("group", each.name) for each in wanted})]
        warnings = self._ask_all(questions)
        self._answers = {question: self._answers[question] for question in questions if question in self._answers}
        accounts = self._answers.get(_ACCOUNTS)
        members: dict[UnixGroup, frozenset[Principal]] = {}
        for group in wanted:
            answer = self._answers.get(("group", group.name))
            if answer is not None and accounts is not None:
                members[group] = _principals(_members(answer.text) | _primary(answer.text, accounts.text), group.realm)
        return members, warnings

    def _ask_all(self, questions: list[Question]) -> tuple[str, ...]:
        deadline = self._clock() + limits.GROUP_LOOKUP_S
        with ThreadPoolExecutor(_AT_ONCE, "unix-groups") as pool:
            answers = list(pool.map(lambda question: self._answer(question, deadline), questions))
        warnings = []
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, bytes):
                self._answers[question] = _Answer(answer, self._clock())
            else:
                warnings.append(self._failed(question, answer))
        return tuple(warnings)

    def _answer(self, question: Question, deadline: float) -> bytes | ConfigError:
        try:
            return self._ask(question, deadline - self._clock())
        except ConfigError as error:
            return error

    def _failed(self, question: Question, error: ConfigError) -> str:
        what = "the list of accounts" if question == _ACCOUNTS else f"unix group {question[-1]}"
        last = self._answers.get(question)
        if last is not None and self._clock() - last.at <= limits.GROUP_STALE_S:
            return f"{what}: {error.message}; the last answer is used"
        self._answers.pop(question, None)
        return f"{what}: {error.message}; its members are not known, so it admits nobody"


def _members(answer: bytes) -> frozenset[bytes]:
    fields = (line.split(b":") for line in answer.splitlines())
    return frozenset(
        name for each in fields if len(each) == _GROUP_FIELDS for name in each[-1].split(b",") if name.strip()
    )


def _primary(answer: bytes, passwd: bytes) -> frozenset[bytes]:
    gids = {each[2] for line in answer.splitlines() if len(each := line.split(b":")) == _GROUP_FIELDS}
    accounts = (line.split(b":") for line in passwd.splitlines())
    return frozenset(each[0] for each in accounts if len(each) == _PASSWD_FIELDS and each[3] in gids and each[0])


def _principals(names: frozenset[bytes], realm: str) -> frozenset[Principal]:
    return frozenset(Principal((name.decode("utf-8", "surrogateescape"),), realm) for name in names)

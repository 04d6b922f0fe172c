"""Durations, sizes and rates as people write them: a number and its unit, always."""

import re

from securecc.model.errors import PolicyError

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([A-Za-z]*)", re.ASCII)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?/ ?(s|min|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_MEANT = {"m": "min", "mins": "min", "minutes": "min", "sec": "s", "seconds": "s", "hour": "h", "hours": "h", "d": "h"}
_MEANT_SIZES = {f"{letter}{rest}": f"{letter.upper()}iB" for letter in "KMGTkmgt" for rest in ("", "B", "b", "ib")}


def duration(text: str) -> float:
    """Seconds of ``10min``, ``30s``, ``1.5h`` or ``250ms``.

    Raises:
        PolicyError: the text is not a duration.
    """
    number, unit = _split(text, "duration", "30s, 10min or 1h")
    return number * _unit(text, unit, _SECONDS)


def size(text: str) -> int:
    """Bytes of ``4GiB``, ``512MiB`` or ``64KiB``.

    Raises:
        PolicyError: the text is not a size.
    """
    number, unit = _split(text, "size", "512MiB or 4GiB")
    return int(number * _unit(text, unit, _BYTES))


def rate(text: str) -> float:
    """Times per second, of ``50/s``, ``600/min`` or ``5000/h``.

    Raises:
        PolicyError: the text is not a rate.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise PolicyError(f'"{text[:80]}" is not a rate', "write a number and a period, as 50/s, 600/min or 5000/h")
    return float(found[1]) / _SECONDS[found[2]]


def _split(text: str, kind: str, examples: str) -> tuple[float, str]:
    found = _QUANTITY.fullmatch(text)
    if found is None or not found[2]:
        raise PolicyError(f'"{text[:80]}" is not a {kind}', f"write a number and its unit, as {examples}")
    return float(found[1]), found[2]


def _unit(text: str, unit: str, units: dict[str, float] | dict[str, int]) -> float:
    factor = units.get(unit)
    if factor is None:
        meant = (_MEANT if units is _SECONDS else _MEANT_SIZES).get(unit)
        hint = f"did you mean {meant}? " if meant else ""
        raise PolicyError(f'"{text[:80]}" has an unknown unit "{unit[:80]}"', f"{hint}Units are {', '.join(units)}")
    return factor


def duration_text(seconds: float) -> str:
    """The shortest spelling that `duration` reads back."""
    for unit in ("h", "min", "s"):
        if seconds >= _SECONDS[unit] and (seconds / _SECONDS[unit]).is_integer():
            return f"{seconds / _SECONDS[unit]:.12g}{unit}"
    return f"{seconds:.12g}s"


def rate_text(per_second: float) -> str:
    """The shortest spelling that `rate` reads back, within a thousandth."""
    for unit in ("s", "min", "h"):
        count = per_second * _SECONDS[unit]
        if round(count, 3) >= 1 and round(count, 3).is_integer():
            return f"{round(count)}/{unit}"
    return f"{per_second * _SECONDS['h']:.12g}/h"


def size_text(count: int) -> str:
    """The largest unit that leaves a whole number."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count >= _BYTES[unit] and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B"

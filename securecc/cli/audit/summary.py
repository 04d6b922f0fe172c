"""`securecctl audit summary`: who did how much, who was refused what, and what is unusual."""

import argparse
import datetime as dt
import re
import zoneinfo
from collections.abc import Sized
from dataclasses import asdict
from typing import Final

from securecc.audit.review.anomalies import AnomalyDetector, AnomalyRules, Hours, Rate
from securecc.audit.review.summary import Person, Summary
from securecc.cli.audit.log_parts import add_files, parts_of
from securecc.cli.audit.selection import Selection, said_at, stamp
from securecc.cli.printing import as_json, columns, moment, plain, size
from securecc.config_file.quantities import duration
from securecc.model.errors import ConfigError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_HOURS = re.compile(r"([0-2]?[0-9]):([0-5][0-9])-([0-2]?[0-9]):([0-5][0-9])", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,6})/(.{1,20})", re.ASCII)
_HOSTS = 3  # shown for one principal
_SHOWN = 50  # rows of each table in text; JSON has all


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `summary`."""
    parser = actions.add_parser("summary", help="summarise a log: principals, denials, anomalies")
    add_files(parser)
    parser.add_argument(
        "--since", metavar="T", default="1d", help="start of the summary; older records are the history (default: 1d)"
    )
    parser.add_argument("--hours", metavar="H", default="06:00-22:00", help="working hours (default: %(default)s)")
    parser.add_argument("--days", metavar="D", default="mon-sun", help="working days: mon-fri, mon,wed (default: all)")
    parser.add_argument("--zone", metavar="Z", help="time zone of the hours: Europe/Berlin (default: this machine's)")
    for kind, rate in (("jobs", "10000/10min"), ("connections", "60/10min"), ("denials", "20/10min")):
        parser.add_argument(
            f"--burst-{kind}",
            metavar="N/T",
            default=rate,
            help=f"more {kind} of one principal than this are a burst (default: {rate})",
        )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the summary. Exit status 1 if a line is not a record."""
    rules = rules_of(options, dt.datetime.now(dt.UTC))
    selection, summary, detector = Selection(parts_of(options, rotated=True)), Summary(), AnomalyDetector(rules)
    for fields in selection:
        detector.add(fields)
        if said_at(fields) >= rules.since:
            summary.add(fields)
    if options.format == "json":
        print(as_json(_plain_data(summary, detector)))
    else:
        for block in (_head(summary), _people(summary), _denials(summary), _strangers(summary), _unusual(detector)):
            print(block)
    return 1 if selection.bad else 0


def rules_of(options: argparse.Namespace, now: dt.datetime) -> AnomalyRules:
    """The rules that the command line sets.

    Raises:
        ConfigError: an argument is not valid.
    """
    return AnomalyRules(
        since=stamp(moment(options.since, now)),
        hours=_hours(options.hours, options.days, options.zone),
        jobs=_rate(options.burst_jobs),
        connections=_rate(options.burst_connections),
        denials=_rate(options.burst_denials),
    )


def _head(summary: Summary) -> str:
    lines = [f"{summary.records} records, {summary.first or '-'} to {summary.last or '-'}"]
    if summary.daemon:
        events = sorted(summary.daemon.items())
        lines.append("daemon: " + ", ".join(f"{plain(event)} {count}" for event, count in events))
    lines += [f"repair: {plain(problem)}, {count:g} in all" for problem, count in sorted(summary.repairs.items())]
    return "\n".join(lines)


def _people(summary: Summary) -> str:
    rows: list[tuple[str, ...]] = [("PRINCIPAL", "CONNECTIONS", "JOBS", "FAILED", "DENIED", "CPU", "MADE", "FROM")]
    busiest = sorted(summary.people.items(), key=lambda item: (-item[1].jobs, item[0]))
    rows += [_row(plain(name), person) for name, person in busiest[:_SHOWN]]
    return f"\nPRINCIPALS ({len(summary.people)})\n{columns(rows)}{_more(busiest)}"


def _row(name: str, person: Person) -> tuple[str, ...]:
    hosts = [plain(host) for host in sorted(person.hosts)]
    more = len(hosts) - _HOSTS
    shown = " ".join(hosts[:_HOSTS]) + (f" and {more} more" if more > 0 else "")
    counts = (person.connections, person.jobs, person.failures, person.denials)
    return (name or "-", *map(str, counts), f"{person.cpu_s:.1f} s", size(person.made), shown)


def _denials(summary: Summary) -> str:
    rows: list[tuple[str, ...]] = [("COUNT", "PRINCIPAL", "CODE", "REASON")]
    counted = summary.denials.most_common()
    rows += [(str(count), *(plain(word) or "-" for word in key)) for key, count in counted[:_SHOWN]]
    return f"\nDENIALS ({summary.denials.total()})\n{columns(rows)}{_more(counted)}"


def _strangers(summary: Summary) -> str:
    rows: list[tuple[str, ...]] = [("COUNT", "SOURCE", "REASON")]
    counted = summary.strangers.most_common()
    rows += [(f"{count:g}", *(plain(word) or "-" for word in key)) for key, count in counted[:_SHOWN]]
    return f"\nSTRANGERS ({summary.strangers.total():g})\n{columns(rows)}{_more(counted)}"


def _unusual(detector: AnomalyDetector) -> str:
    rows: list[tuple[str, ...]] = [("TIME", "RULE", "PRINCIPAL", "WHAT")]
    rows += [(plain(f.time), f.rule, plain(f.principal), plain(f.detail)) for f in detector.findings[:_SHOWN]]
    note = "" if detector.has_history else "\nno older records: nothing to compare first-seen and new-address with"
    return f"\nUNUSUAL ({len(detector.findings)})\n{columns(rows)}{_more(detector.findings)}{note}"


def _more(rows: Sized) -> str:
    count = len(rows) - _SHOWN
    return f"\nand {count} more (--format json has all)" if count > 0 else ""


def _plain_data(summary: Summary, detector: AnomalyDetector) -> dict[str, object]:
    people = {
        name: {**asdict(person), "ended": dict(person.ended), "hosts": sorted(person.hosts)}
        for name, person in summary.people.items()
    }
    return {
        "records": summary.records,
        "first": summary.first,
        "last": summary.last,
        "principals": people,
        "denials": [{"principal": p, "code": c, "reason": r, "count": n} for (p, c, r), n in summary.denials.items()],
        "strangers": [{"source": s, "reason": r, "count": n} for (s, r), n in summary.strangers.items()],
        "daemon": dict(summary.daemon),
        "repairs": dict(summary.repairs),
        "unusual": [asdict(finding) for finding in detector.findings],
        "history": detector.has_history,
    }


def _hours(hours: str, days: str, zone: str | None) -> Hours:
    found = _HOURS.fullmatch(hours)
    times = [int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3)] if found else [9999]
    if max(times) > 24 * 60:
        raise ConfigError(f"--hours {plain(hours)[:80]}", "write 06:00-22:00")
    try:
        return Hours(times[0], times[1], _days(days), zoneinfo.ZoneInfo(zone) if zone else None)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"--zone {plain(str(zone))[:80]}: no such time zone", "write Europe/Berlin or UTC") from error


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ConfigError(f"--days {plain(text)[:80]}", "write mon-fri, or mon,wed,fri")
        begin, end = DAYS.index(first), DAYS.index(last if dash else first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(days)


def _rate(text: str) -> Rate:
    found = _RATE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{plain(text)[:80]!r} is not a rate", "write a number and a time, as 20/10min")
    return Rate(int(found[1]), duration(found[2]))

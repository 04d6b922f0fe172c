"""`securecctl audit trace`: who compiled an object file, when, where, with which inputs and compiler."""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from securecc.cli.audit.log_parts import Part, add_files, parts_of
from securecc.cli.audit.selection import Fields, decode
from securecc.cli.printing import as_json, columns, plain, size
from securecc.model.digest import sha256_of_file
from securecc.model.errors import AuditError

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def add_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `trace`."""
    parser = actions.add_parser(
        "trace", help="say who compiled an object file, when, where, with which inputs and compiler"
    )
    parser.add_argument("object", metavar="OBJECT", help="an output of a compile, or its SHA-256")
    add_files(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints every job with this output. Exit status 1 if there is none."""
    digest = _digest(options.object)
    found = list(makers(digest, parts_of(options, rotated=True)))
    if options.format == "json":
        for maker in found:
            print(as_json(maker))
        return 0 if found else 1
    print(f"{plain(options.object)}: SHA-256 {digest}")
    for maker in found:
        print(_told(maker, digest))
    if not found:
        print("no recorded job made it: it was compiled locally or on another server, or changed since (strip, ld -r)")
    return 0 if found else 1


def makers(digest: str, parts: Iterable[Part]) -> Iterator[Fields]:
    """The records of the ends of jobs that have `digest` among their outputs, in order; `server` (the host that
    the log's checkpoints name, if any), `file` and `line` are added.
    """
    wanted, host = digest.encode(), ""
    for part in parts:
        for number, line in enumerate(() if part.empty else part.lines(), 1):
            if wanted not in line and b'"kind":"checkpoint"' not in line:
                continue  # nearly all lines: skip them without decoding
            fields = decode(line)
            if fields is None:
                continue
            if fields["kind"] == "checkpoint":
                host = str(fields.get("host", ""))
            elif fields["kind"] == "job-end" and _outputs(fields, digest):
                yield {**fields, "server": host, "file": str(part.path), "line": number}


def _digest(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            return sha256_of_file(file).hex()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and _DIGEST.fullmatch(name):
            return name
        raise AuditError(f"{plain(name)}: {error.strerror}", "name an object file, or its SHA-256") from error


def _outputs(fields: Fields, digest: str) -> list[dict[str, Any]]:
    outputs = fields.get("outputs")
    listed = outputs if isinstance(outputs, list) else []
    return [made for made in listed if isinstance(made, dict) and made.get("sha256") == digest]


def _told(fields: Fields, digest: str) -> str:
    def of(*keys: str) -> str:
        return " ".join(plain(str(fields.get(key, ""))) for key in keys if fields.get(key) not in (None, "", []))

    made = [f"{plain(str(made.get('path')))}, {_size(made)}" for made in _outputs(fields, digest)]
    rows = [
        ("who", f"{of('principal')} from {of('peer')} by rule {of('rule')}"),
        ("when", f"{of('time')} ({of('outcome')})"),
        ("what", "; ".join(made)),
        ("command", _words(fields, "arguments")),
        ("in", of("cwd")),
        ("from", f"input {of('input_sha256')} {_words(fields, 'layers_sha256')}".rstrip()),
        ("by", f"{of('toolchain')}, toolchain {of('toolchain_sha256')}"),
        ("where", f"{of('server') or 'unknown server'}, sandbox {_words(fields, 'sandbox')}"),
        ("record", f"{of('seq')} ({of('file')}:{of('line')}), job {of('job')} of connection {of('reference')}"),
    ]
    return columns([(f"  {name}", said) for name, said in rows if said])


def _words(fields: Fields, key: str) -> str:
    listed = fields.get(key)
    return " ".join(plain(str(word)) for word in listed) if isinstance(listed, list) else ""


def _size(made: dict[str, Any]) -> str:
    count = made.get("size")
    return size(count) if isinstance(count, int | float) else "unknown size"

#!/usr/bin/env python3
"""Sources of the projects, fetched from package registries with the registries' own clients, and cached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCES = f"deb-src [signed-by={_KEYRING}] http://deb.debian.org/debian bookworm main\n"


class BuildFailed(Exception):
    """A command that must succeed did not."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a project's source comes from: `registry` is ``apt`` or ``pip``."""

    registry: str
    package: str
    folder: str = ""
    patches: bool = False


def run(*command: str | Path, where: Path = Path(), **environment: str) -> str:
    """The output of the command, both streams.

    Raises:
        BuildFailed: it failed; the message has the end of its output.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-30:])
        raise BuildFailed(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{end}")
    return done.stdout


def archive(source: Source, cache: Path) -> Path:
    """The source package in the cache, fetched if it is not there: a .dsc with its files beside it, or a .tar.gz."""
    place = cache / source.package.lower()
    kind = "*.dsc" if source.registry == "apt" else "*.tar.gz"
    if not list(place.glob(kind)):
        new = place.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        (_fetch_apt if source.registry == "apt" else _fetch_pip)(source.package, new, cache)
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)
    return next(iter(place.glob(kind)))


def unpack(source: Source, package: Path, tree: Path) -> None:
    """A fresh `tree` of the project's sources."""
    shutil.rmtree(tree, ignore_errors=True)
    if source.registry == "apt":
        patches = () if source.patches else ("--skip-patches",)
        run("dpkg-source", "--no-check", "--no-copy", *patches, "-x", package, tree, where=package.parent)
        return
    tree.mkdir(parents=True)
    part = ("--strip-components", f"{1 + len(Path(source.folder).parts)}", "--wildcards", f"*/{source.folder}/*")
    run("tar", "--extract", "--file", package, "--directory", tree, "--no-same-owner", *part, where=tree)


def _fetch_apt(package: str, where: Path, cache: Path) -> None:
    """Uses package lists of our own, so that the machine's are not changed; apt checks the signatures."""
    state = cache / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "sources.list").write_text(_SOURCES)
    settings = {
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": state / "lists",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",  # which otherwise could not write here
        "Acquire::Retries": "3",
    }
    apt = ("apt-get", "-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}")))
    run(*apt, "update", where=where)
    run(*apt, "source", "--download-only", package, where=where)


def _fetch_pip(package: str, where: Path, _cache: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
    run(*pip, "--no-binary", package, "--dest", where, package, where=where)

#!/usr/bin/env python3
"""How each build system is told its compiler, as docs/build-systems.md says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Steps = list[list[str]]


@dataclass(frozen=True, slots=True)
class Compilers:
    """The compilers of one build, and whether they are called through `securecc`."""

    cc: str
    cxx: str
    remote: bool

    @property
    def as_variables(self) -> list[str]:
        """``CC=...`` and ``CXX=...``."""
        return [f"{name}={' '.join(self._words(program))}" for name, program in (("CC", self.cc), ("CXX", self.cxx))]

    @property
    def as_native_file(self) -> str:
        """The text of a meson native file."""
        return f"[binaries]\nc = {self._words(self.cc)}\ncpp = {self._words(self.cxx)}\n"

    def _words(self, program: str) -> list[str]:
        return ["securecc", program] if self.remote else [program]


def _autotools(compilers: Compilers, options: Sequence[str], jobs: int, _: Path) -> Steps:
    return [["./configure", *compilers.as_variables, *options], ["make", f"-j{jobs}"]]


def _cmake(compilers: Compilers, options: Sequence[str], jobs: int, _: Path) -> Steps:
    chosen = [f"-DCMAKE_C_COMPILER={compilers.cc}", f"-DCMAKE_CXX_COMPILER={compilers.cxx}"]
    if compilers.remote:
        chosen += ["-DCMAKE_C_COMPILER_LAUNCHER=securecc", "-DCMAKE_CXX_COMPILER_LAUNCHER=securecc"]
    configure = ["cmake", "-S", ".", "-B", "out", "-G", "Ninja", *chosen, *options]
    return [configure, ["cmake", "--build", "out", f"-j{jobs}"]]


def _meson(compilers: Compilers, options: Sequence[str], jobs: int, tree: Path) -> Steps:
    native = tree.with_suffix(".ini")
    native.write_text(compilers.as_native_file)
    return [
        ["meson", "setup", "--native-file", os.fspath(native), *options, "out"],
        ["ninja", "-C", "out", f"-j{jobs}"],
    ]


def _make(compilers: Compilers, options: Sequence[str], jobs: int, _: Path) -> Steps:
    return [["make", f"-j{jobs}", *compilers.as_variables, *options]]


SYSTEMS: dict[str, Callable[[Compilers, Sequence[str], int, Path], Steps]] = {
    "autotools": _autotools,
    "cmake": _cmake,
    "make": _make,
    "meson": _meson,
}
